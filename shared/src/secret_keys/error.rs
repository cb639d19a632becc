//! Why a secret key is refused, what can go wrong with them, and the problem it becomes.

use std::time::Duration;

use sea_orm::DbErr;

use crate::{
    fault::{Fault, FieldError, ProblemKind, THROTTLED, VALIDATION},
    projects::ProjectError,
};

/// The key is not valid.
pub const INVALID_SECRET_KEY: ProblemKind = ProblemKind {
    code: "invalid_secret_key",
    status: 401,
    title: "The secret key is not valid",
    help: "The key is unknown, was rolled or deleted, has leaked, or stands in a query, where secret keys are never taken from.",
};

/// No such key of the project.
pub const SECRET_KEY_NOT_FOUND: ProblemKind = ProblemKind {
    code: "secret_key_not_found",
    status: 404,
    title: "No such secret key",
    help: "The key is unknown or belongs to another project.",
};

/// The project has a key with this label.
pub const SECRET_KEY_LABEL_TAKEN: ProblemKind = ProblemKind {
    code: "secret_key_label_taken",
    status: 409,
    title: "There is a secret key with this label",
    help: "Labels of secret keys are unique in a project.",
};

/// A scope that secret keys cannot have.
pub const INVALID_SECRET_KEY_SCOPE: ProblemKind = ProblemKind {
    code: "invalid_secret_key_scope",
    status: 400,
    title: "Not a scope of secret keys",
    help: "Secret keys have at least one of the scopes `event:read`, `person:read`, `person:write` and `project:read`, and no others.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] =
    &[&INVALID_SECRET_KEY, &SECRET_KEY_NOT_FOUND, &SECRET_KEY_LABEL_TAKEN, &INVALID_SECRET_KEY_SCOPE];

/// Why a secret key is refused, or a use case of this slice failed.
#[derive(Debug, thiserror::Error)]
pub enum SecretKeyError {
    /// Unknown, malformed or leaked.
    #[error("not a valid secret key")]
    Invalid,
    /// In the query of a request.
    #[error("a secret key in a query")]
    InQuery,
    /// No such key of the project.
    #[error("no such secret key")]
    NotFound,
    /// The project has a key with this label.
    #[error("the label is taken")]
    LabelTaken,
    /// A label that is none.
    #[error("not a label")]
    Label,
    /// A scope that secret keys cannot have, or none at all.
    #[error("not a scope of secret keys")]
    Scope,
    /// A limit was reached.
    #[error("throttled")]
    Throttled(Duration),
    /// The project does not allow it.
    #[error("project: {0}")]
    Project(#[from] ProjectError),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<SecretKeyError> for Fault {
    fn from(err: SecretKeyError) -> Self {
        match err {
            SecretKeyError::Invalid => Self::of(&INVALID_SECRET_KEY),
            SecretKeyError::InQuery => Self::of(&INVALID_SECRET_KEY)
                .detail("Secret keys are not taken from a query. It may be in logs by now: roll the key."),
            SecretKeyError::NotFound => Self::of(&SECRET_KEY_NOT_FOUND),
            SecretKeyError::LabelTaken => Self::of(&SECRET_KEY_LABEL_TAKEN),
            SecretKeyError::Label => Self::of(&VALIDATION).errors(vec![FieldError {
                pointer: "/label",
                code: "invalid",
                detail: "A label has 1 to 64 characters.".to_owned(),
            }]),
            SecretKeyError::Scope => Self::of(&INVALID_SECRET_KEY_SCOPE),
            SecretKeyError::Throttled(wait) => Self::of(&THROTTLED).retry_after(wait),
            SecretKeyError::Project(err) => err.into(),
            SecretKeyError::Database(err) => err.into(),
        }
    }
}
