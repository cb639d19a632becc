//! What can go wrong with a deletion, and the problem it becomes.

use sea_orm::DbErr;

use crate::{
    fault::{Fault, ProblemKind},
    orgs::{LAST_OWNER, OrgError},
    projects::ProjectError,
    users::USER_NOT_FOUND,
};

/// The kinds of this slice: it uses those of what it deletes.
pub const PROBLEMS: &[&ProblemKind] = &[];

/// Why something was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeletionError {
    /// There is no such user.
    #[error("no such user")]
    NoUser,
    /// Organizations would be left without an owner. Their names.
    #[error("the user is the last owner of: {}", .0.join(", "))]
    LastOwner(Vec<String>),
    /// The organization is out of reach.
    #[error(transparent)]
    Organization(#[from] OrgError),
    /// The project is out of reach.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<DeletionError> for Fault {
    fn from(err: DeletionError) -> Self {
        match err {
            DeletionError::NoUser => Self::of(&USER_NOT_FOUND),
            DeletionError::LastOwner(names) => Self::of(&LAST_OWNER).detail(names.join(", ")),
            DeletionError::Organization(err) => err.into(),
            DeletionError::Project(err) => err.into(),
            DeletionError::Database(err) => err.into(),
        }
    }
}
