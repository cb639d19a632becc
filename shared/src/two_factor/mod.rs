//! Two-factor: which second factors a user has, what proves one, and what a change of them means.
//!
//! ```text
//! methods ── the list of what is enrolled ──► the two-factor step of a login, the status
//! reserve ── the try is counted ── verify: app | backup code ──► what it adds to a session (RFC 8176)
//! enable, disable ── recent proof? ──► one transaction: change · epoch + 1 (ends other sessions, trusted devices,
//!     pending logins) · carry this session over · audit · notice by mail
//! ```
//!
//! A further factor joins in [`methods`], in [`Offer`] and in [`verify`]; nothing else asks which ones there are.

mod config;
mod error;
mod flow;

pub use config::TwoFactorConfig;
pub use error::{PROBLEMS, TwoFactorError};
pub use flow::{
    Method, Offer, Status, confirm_totp, disable_totp, forget_attempts, methods, replace_backup_codes, require_fresh,
    reserve, start_totp, status, verify,
};
