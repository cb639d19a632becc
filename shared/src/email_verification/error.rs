//! What can go wrong with a verification, and the problem it becomes.

use sea_orm::DbErr;

use crate::{
    domains::SsoEnforced,
    fault::{Fault, FieldError, ProblemKind, VALIDATION},
    mail::EMAIL_NOT_AVAILABLE,
    recovery,
};

/// The kinds of this slice: it shares `invalid_token`.
pub const PROBLEMS: &[&ProblemKind] = &[];

/// Why a use case of this slice failed.
#[derive(Debug, thiserror::Error)]
pub enum EmailVerificationError {
    /// The link or code is not good, for whatever reason.
    #[error("the link or code is not valid")]
    InvalidToken,
    /// The address is malformed.
    #[error("the address is malformed")]
    InvalidAddress,
    /// This installation sends no mail.
    #[error("no mail can be sent")]
    EmailNotAvailable,
    /// The domain demands a provider.
    #[error(transparent)]
    SsoEnforced(#[from] SsoEnforced),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<EmailVerificationError> for Fault {
    fn from(err: EmailVerificationError) -> Self {
        match err {
            EmailVerificationError::InvalidToken => Self::of(&recovery::INVALID_TOKEN),
            EmailVerificationError::InvalidAddress => Self::of(&VALIDATION).errors(vec![FieldError {
                pointer: "/email",
                code: "invalid_email",
                detail: "This is not an e-mail address.".to_owned(),
            }]),
            EmailVerificationError::EmailNotAvailable => Self::of(&EMAIL_NOT_AVAILABLE),
            EmailVerificationError::SsoEnforced(err) => err.into(),
            EmailVerificationError::Database(err) => err.into(),
        }
    }
}
