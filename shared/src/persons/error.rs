//! What can go wrong with persons, and the problem it becomes.

use sea_orm::DbErr;

use crate::{
    fault::{Fault, ProblemKind},
    identify::ApplyError,
    projects::ProjectError,
};

/// No such person in this project.
pub const PERSON_NOT_FOUND: ProblemKind = ProblemKind {
    code: "person_not_found",
    status: 404,
    title: "No such person",
    help: "The id is unknown in this project: the person was deleted, or absorbed by another one that has its distinct ids now.",
};

/// The id that is to stay is not one of the person's.
pub const DISTINCT_ID_OF_ANOTHER_PERSON: ProblemKind = ProblemKind {
    code: "distinct_id_of_another_person",
    status: 409,
    title: "The distinct id is not this person's",
    help: "`main_distinct_id` has to be one of the distinct ids of the person that is split.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[&PERSON_NOT_FOUND, &DISTINCT_ID_OF_ANOTHER_PERSON];

/// What can go wrong with persons.
#[derive(Debug, thiserror::Error)]
pub enum PersonError {
    /// Unknown.
    #[error("no such person")]
    NotFound,
    /// The id that is to stay is not the person's.
    #[error("the distinct id is not the person's")]
    NotItsId,
    /// The project is out of reach.
    #[error("project: {0}")]
    Project(#[from] ProjectError),
    /// The person could not be changed.
    #[error("apply: {0}")]
    Apply(#[from] ApplyError),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<PersonError> for Fault {
    fn from(err: PersonError) -> Self {
        match err {
            PersonError::NotFound => Self::of(&PERSON_NOT_FOUND),
            PersonError::NotItsId => Self::of(&DISTINCT_ID_OF_ANOTHER_PERSON),
            PersonError::Project(err) => err.into(),
            PersonError::Apply(ApplyError::Database(err)) | PersonError::Database(err) => err.into(),
            // A split moves no ids between persons; nothing of it can be too large.
            PersonError::Apply(ApplyError::TooLarge(err)) => DbErr::Custom(err.to_string()).into(),
        }
    }
}
