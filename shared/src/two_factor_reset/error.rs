//! What can go wrong with a reset of second factors, and the problem it becomes.

use std::time::Duration;

use sea_orm::DbErr;

use crate::{
    enforcement::Shortfall,
    fault::{FORBIDDEN, Fault, FieldError, ProblemKind, THROTTLED, VALIDATION},
    lockout::LockoutError,
    mail::EMAIL_NOT_AVAILABLE,
    orgs::OrgError,
    password::Overloaded,
    recovery::INVALID_TOKEN,
    sessions::SessionError,
    two_factor::TWO_FACTOR_NOT_ENABLED,
    users::USER_NOT_FOUND,
};

/// A mailed link was good, and is too old.
pub const RESET_LINK_EXPIRED: ProblemKind = ProblemKind {
    code: "reset_link_expired",
    status: 400,
    title: "The link has expired",
    help: "The link to reset the second factors was good and is too old now. Ask an administrator of the organization for another one.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[&RESET_LINK_EXPIRED];

/// Why a use case of this slice failed.
#[derive(Debug, thiserror::Error)]
pub enum TwoFactorResetError {
    /// No user of a common organization.
    #[error("no such user")]
    NotFound,
    /// It is not for this actor to decide.
    #[error("not for this actor to decide: {0}")]
    Forbidden(&'static str),
    /// The user has no second factor.
    #[error("there is no second factor")]
    NotEnabled,
    /// The link is malformed, unknown, spent, replaced, or from before a change of the user.
    #[error("the link is not valid")]
    InvalidToken,
    /// The link is too old.
    #[error("the link has expired")]
    Expired,
    /// The password is wrong.
    #[error("the password is wrong")]
    IncorrectPassword,
    /// Too many requests.
    #[error("too many requests")]
    Throttled(Duration),
    /// This installation sends no mail.
    #[error("no mail can be sent")]
    EmailNotAvailable,
    /// The account failed too often.
    #[error(transparent)]
    Lockout(#[from] LockoutError),
    /// An organization demands a second factor of the administrator.
    #[error(transparent)]
    SecondFactor(#[from] Shortfall),
    /// The last proof of identity is too old.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// No hash can be computed in time.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<OrgError> for TwoFactorResetError {
    fn from(err: OrgError) -> Self {
        match err {
            OrgError::NotFound | OrgError::NoMember => Self::NotFound,
            OrgError::Forbidden
            | OrgError::KeysNotAllowed
            | OrgError::QueryKeysNotAllowed
            | OrgError::OutOfReach
            | OrgError::LastOwner
            | OrgError::LimitReached(_)
            | OrgError::Invalid(_) => Self::Forbidden("role"),
            OrgError::SecondFactor(shortfall) => Self::SecondFactor(shortfall),
            OrgError::Database(err) => Self::Database(err),
        }
    }
}

impl From<TwoFactorResetError> for Fault {
    fn from(err: TwoFactorResetError) -> Self {
        match err {
            TwoFactorResetError::NotFound => Self::of(&USER_NOT_FOUND),
            TwoFactorResetError::Forbidden(reason) => Self::of(&FORBIDDEN).detail(detail_of(reason)),
            TwoFactorResetError::NotEnabled => Self::of(&TWO_FACTOR_NOT_ENABLED),
            TwoFactorResetError::InvalidToken => Self::of(&INVALID_TOKEN),
            TwoFactorResetError::Expired => Self::of(&RESET_LINK_EXPIRED),
            TwoFactorResetError::IncorrectPassword => {
                let detail = "The password is wrong.".to_owned();
                Self::of(&VALIDATION).errors(vec![FieldError {
                    pointer: "/password",
                    code: "incorrect_password",
                    detail,
                }])
            }
            TwoFactorResetError::Throttled(wait) => Self::of(&THROTTLED).retry_after(wait),
            TwoFactorResetError::EmailNotAvailable => {
                Self::of(&EMAIL_NOT_AVAILABLE).retry_after(Duration::from_secs(3600))
            }
            TwoFactorResetError::Lockout(err) => err.into(),
            TwoFactorResetError::SecondFactor(shortfall) => shortfall.into(),
            TwoFactorResetError::Session(err) => err.into(),
            TwoFactorResetError::Overloaded(err) => err.into(),
            TwoFactorResetError::Database(err) => err.into(),
        }
    }
}

/// What to tell about a refusal.
fn detail_of(reason: &str) -> &'static str {
    match reason {
        "self" => "Nobody can reset their own second factors this way.",
        "outranked" => "The user's role in an organization is higher than yours.",
        "session" => "The link belongs to another user than the one who is signed in here.",
        _ => "Your role in the organization does not allow this.",
    }
}
