//! Two-factor reset: an administrator lets a user without their second factor back in, and decides nothing alone.
//!
//! ```text
//! POST /api/users/{id}/two_factor_reset ── request ── administrator of a common organization, not outranked, recent proof
//!     ──► row + SendTwoFactorResetLink, one transaction ──► 204; nothing of the user has changed
//! worker ── reset_mail ──► derives the link from the row ──► mail to the user
//! POST /api/two_factor_reset/complete ── complete ── link + the user's password, not in somebody else's session
//!     ──► consume · app and backup codes go · epoch + 1 · sessions and devices end · audit of both · notice
//! ```
//!
//! Invariants: the administrator never sees the link and the mailbox alone is not enough; the newest link wins; a link is
//! spent once, before its effect, and dies with every move of the user's epoch; passkeys stay, and from then on they sign in
//! and are no second step; no session is opened.

mod config;
mod entity;
mod error;
mod flow;
mod jobs;
mod store;

pub use config::TwoFactorResetConfig;
pub use entity::TwoFactorResetId;
pub use error::{PROBLEMS, RESET_LINK_EXPIRED, TwoFactorResetError};
pub use flow::{ResetMail, complete, request, reset_mail, validate};
pub use jobs::{NotifyTwoFactorReset, SendTwoFactorResetLink, SweepTwoFactorResets};
pub use store::sweep;
