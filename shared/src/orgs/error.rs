//! What can go wrong with organizations, and the problem it becomes.

use sea_orm::DbErr;

use crate::{
    enforcement::Shortfall,
    fault::{FORBIDDEN, Fault, FieldError, ProblemKind, VALIDATION},
    users::USER_NOT_FOUND,
};

/// No such organization for whoever asks.
pub const ORGANIZATION_NOT_FOUND: ProblemKind = ProblemKind {
    code: "organization_not_found",
    status: 404,
    title: "No such organization",
    help: "The organization is unknown, you are no member of it, or the credential does not reach it.",
};

/// The organization does not let its members use personal API keys.
pub const API_KEYS_NOT_ALLOWED: ProblemKind = ProblemKind {
    code: "api_keys_not_allowed",
    status: 403,
    title: "The organization does not allow personal API keys",
    help: "The organization lets only its admins use personal API keys. An admin can allow them for all members.",
};

/// The organization does not accept API keys in the query.
pub const API_KEY_IN_QUERY_NOT_ALLOWED: ProblemKind = ProblemKind {
    code: "api_key_in_query_not_allowed",
    status: 403,
    title: "The organization does not accept API keys in the query",
    help: "Send the key in the header `Authorization: Bearer`. An admin of the organization can allow keys in the query.",
};

/// The key is limited to other organizations or projects.
pub const API_KEY_OUT_OF_REACH: ProblemKind = ProblemKind {
    code: "api_key_out_of_reach",
    status: 403,
    title: "The API key is limited to something else",
    help: "The key is limited to organizations or projects, and this is none of them.",
};

/// Nobody would own it any more.
pub const LAST_OWNER: ProblemKind = ProblemKind {
    code: "last_owner",
    status: 409,
    title: "The last owner stays",
    help: "An organization has at least one owner who can sign in. Make somebody else an owner first, or delete it.",
};

/// There are as many as may be.
pub const LIMIT_REACHED: ProblemKind = ProblemKind {
    code: "limit_reached",
    status: 409,
    title: "Limit reached",
    help: "There are as many things of this kind as the installation allows. `detail` says of what.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[
    &ORGANIZATION_NOT_FOUND,
    &API_KEYS_NOT_ALLOWED,
    &API_KEY_IN_QUERY_NOT_ALLOWED,
    &API_KEY_OUT_OF_REACH,
    &LAST_OWNER,
    &LIMIT_REACHED,
];

/// What can go wrong with organizations.
#[derive(Debug, thiserror::Error)]
pub enum OrgError {
    /// Unknown, or out of reach.
    #[error("no such organization")]
    NotFound,
    /// The role does not allow it.
    #[error("the role does not allow it")]
    Forbidden,
    /// The organization does not let this member use API keys.
    #[error("API keys are not allowed")]
    KeysNotAllowed,
    /// The organization does not accept API keys in the query.
    #[error("API keys in the query are not allowed")]
    QueryKeysNotAllowed,
    /// The actor is a member, and the key is limited to something else.
    #[error("the key does not reach this")]
    OutOfReach,
    /// It demands a second factor.
    #[error(transparent)]
    SecondFactor(#[from] Shortfall),
    /// The user is no member.
    #[error("no such member")]
    NoMember,
    /// Nobody would own it any more.
    #[error("the last owner stays")]
    LastOwner,
    /// There are as many as may be.
    #[error("limit reached: {0}")]
    LimitReached(String),
    /// A field does not validate.
    #[error("a field does not validate")]
    Invalid(Vec<FieldError>),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<OrgError> for Fault {
    fn from(err: OrgError) -> Self {
        match err {
            OrgError::NotFound => Self::of(&ORGANIZATION_NOT_FOUND),
            OrgError::Forbidden => Self::of(&FORBIDDEN).detail("Your role in the organization does not allow this."),
            OrgError::KeysNotAllowed => Self::of(&API_KEYS_NOT_ALLOWED),
            OrgError::QueryKeysNotAllowed => Self::of(&API_KEY_IN_QUERY_NOT_ALLOWED),
            OrgError::OutOfReach => Self::of(&API_KEY_OUT_OF_REACH),
            OrgError::SecondFactor(shortfall) => shortfall.into(),
            OrgError::NoMember => Self::of(&USER_NOT_FOUND),
            OrgError::LastOwner => Self::of(&LAST_OWNER),
            OrgError::LimitReached(detail) => Self::of(&LIMIT_REACHED).detail(detail),
            OrgError::Invalid(errors) => Self::of(&VALIDATION).errors(errors),
            OrgError::Database(err) => err.into(),
        }
    }
}
