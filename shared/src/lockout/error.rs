//! Why nothing was verified, and the problem it becomes.

use std::time::Duration;

use sea_orm::DbErr;

use crate::fault::{Fault, ProblemKind, THROTTLED};

/// This account failed too often from this client.
pub const TOO_MANY_FAILED_ATTEMPTS: ProblemKind = ProblemKind {
    code: "too_many_failed_attempts",
    status: 403,
    title: "Too many failed login attempts",
    help: "Nothing was verified. Try again after `Retry-After` seconds. The same is said of addresses without an account.",
};

/// This way of signing in is disabled.
pub const AUTHENTICATOR_DISABLED: ProblemKind = ProblemKind {
    code: "authenticator_disabled",
    status: 403,
    title: "Disabled after too many failed attempts in a row",
    help: "Nothing was verified. A password works again once it was reset; other ways of signing in are not affected. The same is said of addresses without an account.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[&TOO_MANY_FAILED_ATTEMPTS, &AUTHENTICATOR_DISABLED];

/// Why nothing was verified.
#[derive(Debug, thiserror::Error)]
pub enum LockoutError {
    /// This account failed too often from this client.
    #[error("locked")]
    Locked {
        /// For how much longer.
        wait: Duration,
        /// For how long altogether.
        window: Duration,
    },
    /// This authenticator failed too often in a row.
    #[error("disabled")]
    Disabled,
    /// Too many attempts on this account from everywhere.
    #[error("slowed down")]
    SlowedDown(Duration),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<LockoutError> for Fault {
    fn from(err: LockoutError) -> Self {
        match err {
            LockoutError::Locked { wait, window } => {
                let minutes = window.as_secs().div_ceil(60);
                let text = format!("Too many failed login attempts. Please try again in {minutes} minutes.");
                Self::of(&TOO_MANY_FAILED_ATTEMPTS).detail(text).retry_after(wait)
            }
            LockoutError::Disabled => Self::of(&AUTHENTICATOR_DISABLED),
            LockoutError::SlowedDown(wait) => Self::of(&THROTTLED).retry_after(wait),
            LockoutError::Database(err) => err.into(),
        }
    }
}
