//! What can go wrong with a password, and the problem it becomes.

use std::time::Duration;

use sea_orm::DbErr;

use super::Overloaded;
use crate::fault::{Fault, FieldError, ProblemKind, THROTTLED, UNAVAILABLE, VALIDATION};

/// The kinds of this slice: it uses the kernel's.
pub const PROBLEMS: &[&ProblemKind] = &[];

/// Why a use case of this slice failed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The new password breaks rules.
    #[error("the new password breaks rules")]
    Rejected(Vec<FieldError>),
    /// Too many current passwords were tried.
    #[error("too many tries")]
    Throttled(Duration),
    /// No hash can be computed in time.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<Overloaded> for Fault {
    fn from(err: Overloaded) -> Self {
        Self::of(&UNAVAILABLE).retry_after(Duration::from_secs(1)).source(err)
    }
}

impl From<PasswordError> for Fault {
    fn from(err: PasswordError) -> Self {
        match err {
            PasswordError::Rejected(errors) => Self::of(&VALIDATION).errors(errors),
            PasswordError::Throttled(wait) => Self::of(&THROTTLED).retry_after(wait),
            PasswordError::Overloaded(err) => err.into(),
            PasswordError::Database(err) => err.into(),
        }
    }
}
