//! Why a session is refused, and the problem it becomes.

use sea_orm::DbErr;

use crate::fault::{Fault, ProblemKind, REAUTHENTICATION_REQUIRED};

/// No credential, or one that is not valid.
pub const UNAUTHENTICATED: ProblemKind = ProblemKind {
    code: "unauthenticated",
    status: 401,
    title: "Sign in to do this",
    help: "The request carries no valid session. Sign in and present the session cookie or the session token.",
};

/// The session was valid and is too old now.
pub const SESSION_EXPIRED: ProblemKind = ProblemKind {
    code: "session_expired",
    status: 401,
    title: "The session has expired",
    help: "The session reached its longest age or was not used for too long. Sign in again.",
};

/// No such session of this user.
pub const SESSION_NOT_FOUND: ProblemKind = ProblemKind {
    code: "session_not_found",
    status: 404,
    title: "No such session",
    help: "The session is unknown, has ended, or belongs to somebody else.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[&UNAUTHENTICATED, &SESSION_EXPIRED, &SESSION_NOT_FOUND];

/// Why a session is refused.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Unknown, malformed, revoked, from before the user's present epoch, or of a disabled user.
    #[error("not a valid session")]
    Invalid,
    /// Too old, or unused for too long.
    #[error("the session has expired")]
    Expired,
    /// The last proof of identity is too old.
    #[error("the last proof of identity is too old")]
    ReauthenticationRequired,
    /// No such session of this user.
    #[error("no such session")]
    NotFound,
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<SessionError> for Fault {
    fn from(err: SessionError) -> Self {
        match err {
            SessionError::Invalid => Self::of(&UNAUTHENTICATED),
            SessionError::Expired => Self::of(&SESSION_EXPIRED),
            SessionError::ReauthenticationRequired => Self::of(&REAUTHENTICATION_REQUIRED),
            SessionError::NotFound => Self::of(&SESSION_NOT_FOUND),
            SessionError::Database(err) => err.into(),
        }
    }
}
