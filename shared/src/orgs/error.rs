//! What can go wrong with organizations, and the problem it becomes.

use sea_orm::DbErr;

use crate::fault::{FORBIDDEN, Fault, ProblemKind};

/// No such organization for whoever asks.
pub const ORGANIZATION_NOT_FOUND: ProblemKind = ProblemKind {
    code: "organization_not_found",
    status: 404,
    title: "No such organization",
    help: "The organization is unknown, you are no member of it, or the credential does not reach it.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[&ORGANIZATION_NOT_FOUND];

/// What can go wrong with organizations.
#[derive(Debug, thiserror::Error)]
pub enum OrgError {
    /// Unknown, or out of reach.
    #[error("no such organization")]
    NotFound,
    /// The role does not allow it.
    #[error("the role does not allow it")]
    Forbidden,
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<OrgError> for Fault {
    fn from(err: OrgError) -> Self {
        match err {
            OrgError::NotFound => Self::of(&ORGANIZATION_NOT_FOUND),
            OrgError::Forbidden => Self::of(&FORBIDDEN).detail("Your role in the organization does not allow this."),
            OrgError::Database(err) => err.into(),
        }
    }
}
