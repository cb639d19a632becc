//! What can go wrong with a precheck, and the problem it becomes.

use std::time::Duration;

use sea_orm::DbErr;

use crate::fault::{Fault, FieldError, THROTTLED, VALIDATION};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PrecheckError {
    /// The address is malformed.
    #[error("the address is malformed")]
    InvalidAddress,
    /// Too many questions.
    #[error("too many questions")]
    Throttled(Duration),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<PrecheckError> for Fault {
    fn from(err: PrecheckError) -> Self {
        match err {
            PrecheckError::InvalidAddress => Self::of(&VALIDATION).errors(vec![FieldError {
                pointer: "/email",
                code: "invalid_email",
                detail: "This is not an e-mail address.".to_owned(),
            }]),
            PrecheckError::Throttled(wait) => Self::of(&THROTTLED).retry_after(wait),
            PrecheckError::Database(err) => err.into(),
        }
    }
}
