//! Recovery: a new password by mail.
//!
//! ```text
//! POST /api/reset ── request ──► row (also for unknown addresses) + SendResetLink, one transaction ──► 204, always
//! worker ── reset_mail ──► derives the link from the row ──► mail; unknown, spent or superseded → nothing
//! POST /api/reset/complete ── complete ──► judge password → hash → consume → set + epoch + revoke + notice
//! ```
//!
//! Invariants: the newest link wins; a link is spent once, before its effect; it dies with every move of the user's
//! epoch; completion never opens a session; an unknown address costs the same writes and the same job.

mod config;
mod entity;
mod error;
mod flow;
mod jobs;
mod store;

pub use config::RecoveryConfig;
pub use entity::ResetId;
pub use error::{INVALID_TOKEN, PROBLEMS, RecoveryError};
pub use flow::{ResetMail, complete, request, reset_mail, validate, was_completed_lately};
pub use jobs::{SendResetLink, SweepResets};
pub use store::sweep;
