//! Why a key is refused, what can go wrong with keys, and the problem it becomes.

use std::{fmt, time::Duration};

use sea_orm::DbErr;

use crate::{
    domains::SsoEnforced,
    fault::{Fault, FieldError, ProblemKind, THROTTLED, VALIDATION},
    orgs::{InvalidScopes, OrgError},
    projects::ProjectError,
    sessions::SessionError,
};

/// The key is not valid.
pub const INVALID_API_KEY: ProblemKind = ProblemKind {
    code: "invalid_api_key",
    status: 401,
    title: "The API key is not valid",
    help: "The key is unknown, was rolled, ended or reported as leaked, or its owner is disabled. `detail` says where in the request it was found.",
};

/// The key was not used for too long.
pub const API_KEY_EXPIRED: ProblemKind = ProblemKind {
    code: "api_key_expired",
    status: 401,
    title: "The API key has expired",
    help: "The key was not used for a year (`api_keys.inactive_days`). Its owner can roll it.",
};

/// No such key of this user.
pub const API_KEY_NOT_FOUND: ProblemKind = ProblemKind {
    code: "api_key_not_found",
    status: 404,
    title: "No such API key",
    help: "The key is unknown or belongs to somebody else, or the request that asks for its own key carries none.",
};

/// A list of scopes that is not one.
pub const INVALID_SCOPE: ProblemKind = ProblemKind {
    code: "invalid_scope",
    status: 400,
    title: "Not a scope",
    help: "A key has at least one scope; a scope is `*`, `object:read` or `object:write`, with an object that exists.",
};

/// The user has as many keys as one may have.
pub const TOO_MANY_API_KEYS: ProblemKind = ProblemKind {
    code: "too_many_api_keys",
    status: 400,
    title: "Too many API keys",
    help: "A user may have `api_keys.max_per_user` active keys. Delete one that is no longer used.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] =
    &[&INVALID_API_KEY, &API_KEY_EXPIRED, &API_KEY_NOT_FOUND, &INVALID_SCOPE, &TOO_MANY_API_KEYS];

/// Where in a request a key was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `Authorization: Bearer`.
    Header,
    /// A member of the body.
    Body,
    /// The query.
    Query,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Header => "header `Authorization`",
            Self::Body => "body",
            Self::Query => "query",
        })
    }
}

/// Why a key is refused, or a use case of this slice failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// Unknown, malformed, ended, exposed, or of a disabled user.
    #[error("not a valid key in the {0}")]
    Invalid(Place),
    /// Not used for too long.
    #[error("the key has expired")]
    Expired,
    /// No such key of this user.
    #[error("no such key")]
    NotFound,
    /// A list of scopes that is not one.
    #[error(transparent)]
    Scopes(#[from] InvalidScopes),
    /// A label that is none.
    #[error("not a label")]
    Label,
    /// The user has as many keys as one may have.
    #[error("too many keys")]
    TooMany,
    /// A limit was reached.
    #[error("throttled")]
    Throttled(Duration),
    /// The session does not allow it.
    #[error("session: {0}")]
    Session(#[from] SessionError),
    /// The user's domain demands a provider, which the session did not come by.
    #[error(transparent)]
    SsoEnforced(#[from] SsoEnforced),
    /// An organization does not allow it.
    #[error("organization: {0}")]
    Organization(#[from] OrgError),
    /// A project does not allow it.
    #[error("project: {0}")]
    Project(#[from] ProjectError),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<ApiKeyError> for Fault {
    fn from(err: ApiKeyError) -> Self {
        match err {
            ApiKeyError::Invalid(place) => {
                Self::of(&INVALID_API_KEY).detail(format!("The API key in the {place} is not valid."))
            }
            ApiKeyError::Expired => Self::of(&API_KEY_EXPIRED),
            ApiKeyError::NotFound => Self::of(&API_KEY_NOT_FOUND),
            ApiKeyError::Scopes(InvalidScopes::Empty) => {
                Self::of(&INVALID_SCOPE).detail("A key needs at least one scope.")
            }
            ApiKeyError::Scopes(InvalidScopes::Unknown(scope)) => {
                Self::of(&INVALID_SCOPE).detail(format!("There is no scope {scope:?}."))
            }
            ApiKeyError::Label => Self::of(&VALIDATION).errors(vec![FieldError {
                pointer: "/label",
                code: "invalid",
                detail: "A label has 1 to 64 characters.".to_owned(),
            }]),
            ApiKeyError::TooMany => Self::of(&TOO_MANY_API_KEYS),
            ApiKeyError::Throttled(wait) => Self::of(&THROTTLED).retry_after(wait),
            ApiKeyError::Session(err) => err.into(),
            ApiKeyError::SsoEnforced(err) => err.into(),
            ApiKeyError::Organization(err) => err.into(),
            ApiKeyError::Project(err) => err.into(),
            ApiKeyError::Database(err) => err.into(),
        }
    }
}
