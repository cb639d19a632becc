//! What can go wrong in a recovery, and the problem it becomes.

use std::time::Duration;

use sea_orm::DbErr;

use crate::{
    domains::SsoEnforced,
    fault::{Fault, ProblemKind, THROTTLED},
    mail::EMAIL_NOT_AVAILABLE,
    password::PasswordError,
};

/// A mailed token is not good, for whatever reason.
pub const INVALID_TOKEN: ProblemKind = ProblemKind {
    code: "invalid_token",
    status: 400,
    title: "The link is not valid",
    help: "A mailed link or its token is malformed, unknown, spent, replaced by a newer one or expired; which of them is not told. Request a new one.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[&INVALID_TOKEN];

/// Why a use case of this slice failed.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The token is not good, for whatever reason.
    #[error("the token is not valid")]
    InvalidToken,
    /// Too many requests from this network.
    #[error("too many requests")]
    Throttled(Duration),
    /// This installation sends no mail.
    #[error("no mail can be sent")]
    EmailNotAvailable,
    /// The domain demands a provider.
    #[error(transparent)]
    SsoEnforced(#[from] SsoEnforced),
    /// The new password was not accepted.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<RecoveryError> for Fault {
    fn from(err: RecoveryError) -> Self {
        match err {
            RecoveryError::InvalidToken => Self::of(&INVALID_TOKEN),
            RecoveryError::Throttled(wait) => Self::of(&THROTTLED).retry_after(wait),
            RecoveryError::EmailNotAvailable => Self::of(&EMAIL_NOT_AVAILABLE).retry_after(Duration::from_secs(3600)),
            RecoveryError::SsoEnforced(err) => err.into(),
            RecoveryError::Password(err) => err.into(),
            RecoveryError::Database(err) => err.into(),
        }
    }
}
