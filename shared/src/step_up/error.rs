//! Why a step-up failed, and the problem it becomes.

use std::time::Duration;

use sea_orm::DbErr;

use crate::{
    fault::{Fault, FieldError, THROTTLED, VALIDATION},
    passkey::PasskeyError,
    password::Overloaded,
    sessions::SessionError,
};

/// Why a step-up failed.
#[derive(Debug, thiserror::Error)]
pub enum StepUpError {
    /// The proof is missing or wrong.
    #[error("the proof is missing or wrong")]
    Rejected(FieldError),
    /// Too many tries.
    #[error("too many tries")]
    Throttled(Duration),
    /// The session ended meanwhile.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The passkey is not accepted.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// No hash can be computed in time.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<StepUpError> for Fault {
    fn from(err: StepUpError) -> Self {
        match err {
            StepUpError::Rejected(field) => Self::of(&VALIDATION).errors(vec![field]),
            StepUpError::Throttled(wait) => Self::of(&THROTTLED).retry_after(wait),
            StepUpError::Session(err) => err.into(),
            StepUpError::Passkey(err) => err.into(),
            StepUpError::Overloaded(err) => err.into(),
            StepUpError::Database(err) => err.into(),
        }
    }
}
