//! Why a delivery was not accepted.

use std::time::Duration;

use crate::fault::{Fault, ProblemKind, UNAVAILABLE};

/// A delivery that cannot be read.
pub const INVALID_EVENTS: ProblemKind = ProblemKind {
    code: "invalid_events",
    status: 400,
    title: "The events cannot be read",
    help: "The body is not what analytics clients send, an event has no name or no distinct id, or there is no event. \
           Nothing of the delivery was stored.",
};

/// A delivery that names no project.
pub const INVALID_PROJECT_TOKEN: ProblemKind = ProblemKind {
    code: "invalid_project_token",
    status: 401,
    title: "The project token is not valid",
    help: "Send the token of one project, which begins with `gpc_`, as `api_key` or `token`. Nothing of the delivery was \
           stored.",
};

/// A delivery that is too large.
pub const EVENTS_TOO_LARGE: ProblemKind = ProblemKind {
    code: "events_too_large",
    status: 413,
    title: "The events are too large",
    help: "The body, or what it unpacks to, is larger than the limits in the section `capture` of the configuration. \
           Send fewer events at once.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[&INVALID_EVENTS, &INVALID_PROJECT_TOKEN, &EVENTS_TOO_LARGE];

/// Why a delivery was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It cannot be read.
    #[error("{0}")]
    Malformed(&'static str),
    /// It does not name one project that exists.
    #[error("{0}")]
    Token(&'static str),
    /// It is too large.
    #[error("the events are too large")]
    TooLarge,
    /// Too much waits already.
    #[error("too many events wait to be stored")]
    Busy,
    /// The database did not take it.
    #[error("the events could not be stored: {0}")]
    NotDurable(String),
}

/// When a refused client may come again; browsers and servers have patience of their own beyond it.
const COME_AGAIN: Duration = Duration::from_secs(1);

impl From<CaptureError> for Fault {
    fn from(error: CaptureError) -> Self {
        match error {
            CaptureError::Malformed(reason) => Self::of(&INVALID_EVENTS).detail(reason),
            CaptureError::Token(reason) => Self::of(&INVALID_PROJECT_TOKEN).detail(reason),
            CaptureError::TooLarge => Self::of(&EVENTS_TOO_LARGE),
            // Never 429: browsers give events up that are answered so.
            CaptureError::Busy | CaptureError::NotDurable(_) => {
                Self::of(&UNAVAILABLE).retry_after(COME_AGAIN).source(error.to_string())
            }
        }
    }
}
