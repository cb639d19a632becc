//! Faults: what a request failed of, in the terms of RFC 9457, before any HTTP type is involved.
//!
//! A slice declares its [`ProblemKind`]s in its `error.rs` and maps its error enum to a [`Fault`]; the gateway has the
//! one renderer. `code` is API: it never changes once published, and `openapi/problems.md` lists every one.

use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr};

/// One kind of problem: what clients may match on.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// Stable `snake_case` code.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Short text for people, the same for every occurrence.
    pub title: &'static str,
    /// When it happens and what the caller can do, for the list of problems.
    pub help: &'static str,
}

/// One invalid field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer to the field (RFC 6901), such as `/password`.
    pub pointer: &'static str,
    /// Stable `snake_case` code.
    pub code: &'static str,
    /// Text for people.
    pub detail: String,
}

/// One occurrence of a problem.
#[derive(Debug)]
pub struct Fault {
    /// What kind of problem it is.
    pub kind: &'static ProblemKind,
    /// Text about this occurrence.
    pub detail: Option<String>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
    /// The fields at fault.
    pub errors: Vec<FieldError>,
    /// The cause, for the log only.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Fault {
    /// An occurrence of `kind`.
    #[must_use]
    pub fn of(kind: &'static ProblemKind) -> Self {
        Self { kind, detail: None, retry_after: None, errors: Vec::new(), source: None }
    }

    /// Adds a text about this occurrence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says when trying again makes sense.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Names the fields at fault.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// The server failed; the cause is in its log under the request id.
pub const INTERNAL: ProblemKind = ProblemKind {
    code: "internal_error",
    status: 500,
    title: "Internal error",
    help: "The server failed. The log holds the cause under the request id in `instance`.",
};

/// The server cannot serve this now.
pub const UNAVAILABLE: ProblemKind = ProblemKind {
    code: "temporarily_unavailable",
    status: 503,
    title: "Temporarily unavailable",
    help: "The server is overloaded or its database does not answer. Try again after `Retry-After` seconds.",
};

/// A request's fields do not validate.
pub const VALIDATION: ProblemKind = ProblemKind {
    code: "validation_failed",
    status: 422,
    title: "Validation failed",
    help: "`errors` names each field by JSON pointer, with a code of its own.",
};

/// Known, but not allowed.
pub const FORBIDDEN: ProblemKind = ProblemKind {
    code: "forbidden",
    status: 403,
    title: "Not allowed",
    help: "The credential is valid, and does not allow this operation.",
};

/// Too many requests of one kind.
pub const THROTTLED: ProblemKind = ProblemKind {
    code: "throttled",
    status: 429,
    title: "Too many requests",
    help: "A rate limit was reached. Try again after `Retry-After` seconds.",
};

/// A sensitive change needs a recent proof of identity.
pub const REAUTHENTICATION_REQUIRED: ProblemKind = ProblemKind {
    code: "sensitive_action_required_reauth",
    status: 403,
    title: "Sign in again to do this",
    help: "The last proof of identity of this session is too old for a sensitive change. Sign in again, then repeat it.",
};

/// The kinds of this module.
pub const PROBLEMS: &[&ProblemKind] =
    &[&INTERNAL, &UNAVAILABLE, &VALIDATION, &FORBIDDEN, &THROTTLED, &REAUTHENTICATION_REQUIRED];

impl From<DbErr> for Fault {
    fn from(err: DbErr) -> Self {
        if is_unavailable(&err) {
            Self::of(&UNAVAILABLE).retry_after(Duration::from_secs(1)).source(err)
        } else {
            Self::of(&INTERNAL).source(err)
        }
    }
}

/// Whether the database did not answer, as opposed to answering with an error.
#[must_use]
pub fn is_unavailable(err: &DbErr) -> bool {
    if let DbErr::Exec(RuntimeErr::SqlxError(source)) | DbErr::Query(RuntimeErr::SqlxError(source)) = err {
        return crate::db::is_connection_loss(source);
    }
    matches!(err, DbErr::ConnectionAcquire(_) | DbErr::Conn(_))
}
