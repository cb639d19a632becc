//! What can go wrong with an `Idempotency-Key`, and the problem it becomes.

use sea_orm::DbErr;

use crate::fault::{Fault, ProblemKind};

/// The key was used for another request.
pub const IDEMPOTENCY_KEY_REUSED: ProblemKind = ProblemKind {
    code: "idempotency_key_reused",
    status: 409,
    title: "The idempotency key was used for another request",
    help: "The same `Idempotency-Key` came with another body within a day. Choose a fresh key for each request that is not a repetition.",
};

/// The key is none.
pub const INVALID_IDEMPOTENCY_KEY: ProblemKind = ProblemKind {
    code: "invalid_idempotency_key",
    status: 400,
    title: "Not an idempotency key",
    help: "An `Idempotency-Key` has 1 to 128 visible ASCII characters, and comes once in a request.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[&IDEMPOTENCY_KEY_REUSED, &INVALID_IDEMPOTENCY_KEY];

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// The key was used for another request.
    #[error("used for another request")]
    Reused,
    /// The key is none.
    #[error("not an idempotency key")]
    Invalid,
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<IdempotencyError> for Fault {
    fn from(err: IdempotencyError) -> Self {
        match err {
            IdempotencyError::Reused => Self::of(&IDEMPOTENCY_KEY_REUSED),
            IdempotencyError::Invalid => Self::of(&INVALID_IDEMPOTENCY_KEY),
            IdempotencyError::Database(err) => err.into(),
        }
    }
}
