//! What can go wrong with a user, and the problem it becomes.

use sea_orm::DbErr;

use crate::fault::{Fault, FieldError, ProblemKind, VALIDATION};

/// There is no such user.
pub const USER_NOT_FOUND: ProblemKind = ProblemKind {
    code: "user_not_found",
    status: 404,
    title: "No such user",
    help: "The id is unknown, or the user does not belong to the organization.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[&USER_NOT_FOUND];

/// Why a use case of this slice failed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error("no such user")]
    NotFound,
    /// A field does not validate.
    #[error("a field does not validate")]
    Invalid(Vec<FieldError>),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<UserError> for Fault {
    fn from(err: UserError) -> Self {
        match err {
            UserError::NotFound => Self::of(&USER_NOT_FOUND),
            UserError::Invalid(errors) => Self::of(&VALIDATION).errors(errors),
            UserError::Database(err) => err.into(),
        }
    }
}
