//! Two-factor: which second factors a user has, what proves one, and what a change of them means.
//!
//! ```text
//! methods ── the list of what is enrolled ──► the two-factor step of a login, the status
//! reserve ── the try is counted ── verify: app | passkey | backup code ──► what it adds to a session (RFC 8176)
//! enable, disable ── recent proof? ──► one transaction: change · epoch + 1 (ends other sessions, trusted devices,
//!     pending logins) · carry this session over · audit · notice by mail
//! ```
//!
//! Passkeys are a second factor where the user said so (table `two_factor_passkeys`) and has one; without that they sign in
//! by themselves only. While they are the only second factor, the last passkey cannot be removed.
//!
//! A further factor joins in [`methods`], in [`Offer`] and in [`verify`]; nothing else asks which ones there are.

mod config;
mod entity;
mod error;
mod flow;
mod jobs;
mod status;
mod store;

pub use config::TwoFactorConfig;
pub use error::{NO_PASSKEYS, PROBLEMS, TWO_FACTOR_NOT_ENABLED, TwoFactorError};
pub use flow::{
    Amr, Method, Offer, confirm_totp, disable_totp, forget_attempts, remove_all, remove_passkey, replace_backup_codes,
    require_fresh, reserve, set_passkeys, start_totp, verify,
};
pub use jobs::NotifyTwoFactorPasskeys;
pub use status::{Status, methods, status, status_in};
pub use store::ENROLLED;
