//! What can go wrong with a passkey, and the problem it becomes.

use std::time::Duration;

use sea_orm::DbErr;

use crate::{
    domains::SsoEnforced,
    fault::{Fault, FieldError, INTERNAL, ProblemKind, THROTTLED, VALIDATION},
};

/// The installation has no domain name.
pub const PASSKEYS_NOT_AVAILABLE: ProblemKind = ProblemKind {
    code: "passkeys_not_available",
    status: 403,
    title: "This installation has no passkeys",
    help: "Passkeys belong to a domain name, and `http.public_url` has an IP address instead of one.",
};

/// No such challenge for this client.
pub const CEREMONY_NOT_FOUND: ProblemKind = ProblemKind {
    code: "ceremony_not_found",
    status: 400,
    title: "No such passkey challenge",
    help: "The challenge is unknown, was answered, has expired, or was given to another browser or session. Start again.",
};

/// The authenticator's answer is not accepted.
pub const INVALID_PASSKEY: ProblemKind = ProblemKind {
    code: "invalid_passkey",
    status: 400,
    title: "The passkey was not accepted",
    help: "The answer of the authenticator does not verify, or the passkey is nobody's who may sign in; which of them is not told. Its challenge is spent: start again.",
};

/// There is no such passkey.
pub const PASSKEY_NOT_FOUND: ProblemKind = ProblemKind {
    code: "passkey_not_found",
    status: 404,
    title: "No such passkey",
    help: "The id is unknown, or the passkey is another user's.",
};

/// The passkey is registered already.
pub const PASSKEY_EXISTS: ProblemKind = ProblemKind {
    code: "passkey_exists",
    status: 409,
    title: "The passkey is registered already",
    help: "An authenticator registers the same credential once, for one user.",
};

/// The user has as many passkeys as they may.
pub const TOO_MANY_PASSKEYS: ProblemKind = ProblemKind {
    code: "too_many_passkeys",
    status: 409,
    title: "Too many passkeys",
    help: "The user has `passkey.max_per_user` passkeys. Remove one first.",
};

/// Nothing would be left to sign in with.
pub const LAST_LOGIN_METHOD: ProblemKind = ProblemKind {
    code: "last_login_method",
    status: 409,
    title: "This is the last way to sign in",
    help: "The user has no password, no other passkey and no other linked account. Add one of them first.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[
    &PASSKEYS_NOT_AVAILABLE,
    &CEREMONY_NOT_FOUND,
    &INVALID_PASSKEY,
    &PASSKEY_NOT_FOUND,
    &PASSKEY_EXISTS,
    &TOO_MANY_PASSKEYS,
    &LAST_LOGIN_METHOD,
];

/// Why a use case of this slice failed.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// The installation has no domain name.
    #[error("passkeys need a domain name")]
    NotAvailable,
    /// No such challenge for this client.
    #[error("no such challenge")]
    CeremonyNotFound,
    /// The authenticator's answer is not accepted.
    #[error("the passkey was not accepted")]
    Rejected,
    /// There is no such passkey.
    #[error("no such passkey")]
    NotFound,
    /// The passkey is registered already.
    #[error("the passkey is registered already")]
    Exists,
    /// The user has as many passkeys as they may.
    #[error("too many passkeys")]
    TooMany,
    /// Nothing would be left to sign in with.
    #[error("the last way to sign in")]
    LastMethod,
    /// A field does not validate.
    #[error("a field does not validate")]
    Invalid(Vec<FieldError>),
    /// Too many challenges.
    #[error("too many challenges")]
    Throttled(Duration),
    /// The domain demands a provider.
    #[error(transparent)]
    SsoEnforced(#[from] SsoEnforced),
    /// What is stored cannot be read.
    #[error("stored state: {0}")]
    Stored(#[from] serde_json::Error),
    /// The challenge could not be made.
    #[error("webauthn: {0}")]
    Challenge(#[source] webauthn_rs::prelude::WebauthnError),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<PasskeyError> for Fault {
    fn from(err: PasskeyError) -> Self {
        match err {
            PasskeyError::NotAvailable => Self::of(&PASSKEYS_NOT_AVAILABLE),
            PasskeyError::CeremonyNotFound => Self::of(&CEREMONY_NOT_FOUND),
            PasskeyError::Rejected => Self::of(&INVALID_PASSKEY),
            PasskeyError::NotFound => Self::of(&PASSKEY_NOT_FOUND),
            PasskeyError::Exists => Self::of(&PASSKEY_EXISTS),
            PasskeyError::TooMany => Self::of(&TOO_MANY_PASSKEYS),
            PasskeyError::LastMethod => Self::of(&LAST_LOGIN_METHOD),
            PasskeyError::Invalid(errors) => Self::of(&VALIDATION).errors(errors),
            PasskeyError::Throttled(wait) => Self::of(&THROTTLED).retry_after(wait),
            PasskeyError::SsoEnforced(err) => err.into(),
            PasskeyError::Stored(err) => Self::of(&INTERNAL).source(err),
            PasskeyError::Challenge(err) => Self::of(&INTERNAL).source(err),
            PasskeyError::Database(err) => err.into(),
        }
    }
}
