//! What can go wrong with devices, and the problem it becomes.

use sea_orm::DbErr;

use crate::fault::{Fault, FieldError, ProblemKind, VALIDATION};

/// No such trusted device of this user.
pub const DEVICE_NOT_FOUND: ProblemKind = ProblemKind {
    code: "device_not_found",
    status: 404,
    title: "No such device",
    help: "The device is unknown, is no longer trusted, or belongs to somebody else.",
};

/// The link of a notice is not good.
pub const INVALID_NOTICE: ProblemKind = ProblemKind {
    code: "invalid_notice",
    status: 400,
    title: "The link is not good",
    help: "The link of a notice is malformed or too old. Reset the password to end everything that somebody else may hold.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[&DEVICE_NOT_FOUND, &INVALID_NOTICE];

/// What can go wrong with devices.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No such trusted device of this user.
    #[error("no such device")]
    NotFound,
    /// The name is too short or too long.
    #[error("not a name")]
    Name,
    /// The link of a notice is not good.
    #[error("not a good link")]
    InvalidNotice,
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<DeviceError> for Fault {
    fn from(err: DeviceError) -> Self {
        match err {
            DeviceError::NotFound => Self::of(&DEVICE_NOT_FOUND),
            DeviceError::Name => Self::of(&VALIDATION).errors(vec![FieldError {
                pointer: "/name",
                code: "invalid",
                detail: "A name has 1 to 64 characters.".to_owned(),
            }]),
            DeviceError::InvalidNotice => Self::of(&INVALID_NOTICE),
            DeviceError::Database(err) => err.into(),
        }
    }
}
