//! Why a password is not changed, and the problem it becomes.

use sea_orm::DbErr;

use crate::{domains::SsoEnforced, fault::Fault, password::PasswordError, two_factor::TwoFactorError};

/// Why a password is not changed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordChangeError {
    /// The current password is wrong, or the new one breaks rules.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// A first password needs a fresh proof of identity.
    #[error(transparent)]
    Proof(#[from] TwoFactorError),
    /// The domain demands a provider.
    #[error(transparent)]
    SsoEnforced(#[from] SsoEnforced),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<PasswordChangeError> for Fault {
    fn from(err: PasswordChangeError) -> Self {
        match err {
            PasswordChangeError::Password(err) => err.into(),
            PasswordChangeError::Proof(err) => err.into(),
            PasswordChangeError::SsoEnforced(err) => err.into(),
            PasswordChangeError::Database(err) => err.into(),
        }
    }
}
