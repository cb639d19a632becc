//! What can go wrong in a sign-up, and the problem it becomes.

use std::time::Duration;

use sea_orm::DbErr;

use crate::{
    domains::SsoEnforced,
    fault::{Fault, FieldError, ProblemKind, THROTTLED, VALIDATION},
    password::{Overloaded, PasswordError},
};

/// The kinds of this slice: it uses the kernel's.
pub const PROBLEMS: &[&ProblemKind] = &[];

/// Why a sign-up failed.
#[derive(Debug, thiserror::Error)]
pub enum SignupError {
    /// Fields that do not validate.
    #[error("a field does not validate")]
    Invalid(Vec<FieldError>),
    /// Too many sign-ups from this network.
    #[error("too many sign-ups")]
    Throttled(Duration),
    /// The domain demands a provider.
    #[error(transparent)]
    SsoEnforced(#[from] SsoEnforced),
    /// No hash can be computed in time.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<PasswordError> for SignupError {
    fn from(err: PasswordError) -> Self {
        match err {
            PasswordError::Rejected(errors) => Self::Invalid(errors),
            PasswordError::Throttled(wait) => Self::Throttled(wait),
            PasswordError::Overloaded(err) => Self::Overloaded(err),
            PasswordError::Database(err) => Self::Database(err),
        }
    }
}

impl From<SignupError> for Fault {
    fn from(err: SignupError) -> Self {
        match err {
            SignupError::Invalid(errors) => Self::of(&VALIDATION).errors(errors),
            SignupError::Throttled(wait) => Self::of(&THROTTLED).retry_after(wait),
            SignupError::SsoEnforced(err) => err.into(),
            SignupError::Overloaded(err) => err.into(),
            SignupError::Database(err) => err.into(),
        }
    }
}
