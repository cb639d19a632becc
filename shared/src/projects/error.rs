//! What can go wrong with projects, and the problem it becomes.

use sea_orm::DbErr;

use crate::{
    fault::{Fault, ProblemKind},
    orgs::OrgError,
};

/// No such project for whoever asks.
pub const PROJECT_NOT_FOUND: ProblemKind = ProblemKind {
    code: "project_not_found",
    status: 404,
    title: "No such project",
    help: "The project is unknown, you are no member of its organization, or the credential does not reach it.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[&PROJECT_NOT_FOUND];

/// What can go wrong with projects.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Unknown, or out of reach.
    #[error("no such project")]
    NotFound,
    /// The organization does not allow it.
    #[error("organization: {0}")]
    Organization(OrgError),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<OrgError> for ProjectError {
    fn from(err: OrgError) -> Self {
        match err {
            OrgError::NotFound => Self::NotFound,
            OrgError::Database(err) => Self::Database(err),
            err @ (OrgError::Forbidden
            | OrgError::KeysNotAllowed
            | OrgError::QueryKeysNotAllowed
            | OrgError::OutOfReach
            | OrgError::SecondFactor(_)
            | OrgError::NoMember
            | OrgError::LastOwner
            | OrgError::LimitReached(_)
            | OrgError::Invalid(_)) => Self::Organization(err),
        }
    }
}

impl From<ProjectError> for Fault {
    fn from(err: ProjectError) -> Self {
        match err {
            ProjectError::NotFound => Self::of(&PROJECT_NOT_FOUND),
            ProjectError::Organization(err) => err.into(),
            ProjectError::Database(err) => err.into(),
        }
    }
}
