//! What can go wrong in a login, and the problem it becomes.

use std::time::Duration;

use sea_orm::DbErr;

use crate::{
    domains::{JIT_NOT_ENABLED, SsoEnforced},
    fault::{Fault, FieldError, ProblemKind, THROTTLED, VALIDATION},
    lockout::LockoutError,
    mail::EMAIL_NOT_AVAILABLE,
    passkey::PasskeyError,
    password::Overloaded,
    social::SocialError,
    two_factor::NO_PASSKEYS,
};

/// Address or password is wrong, or the user is disabled; which of them is not told.
pub const INVALID_CREDENTIALS: ProblemKind = ProblemKind {
    code: "invalid_credentials",
    status: 401,
    title: "Invalid e-mail or password",
    help: "The address is unknown, the password is wrong, or the user is disabled; which of them is not told.",
};

/// No such pending login for this client.
pub const LOGIN_NOT_FOUND: ProblemKind = ProblemKind {
    code: "login_not_found",
    status: 400,
    title: "No such login attempt",
    help: "The login attempt is unknown, has ended, or was begun by another browser. Start again with the password.",
};

/// The pending login is too old.
pub const LOGIN_EXPIRED: ProblemKind = ProblemKind {
    code: "login_expired",
    status: 400,
    title: "Login attempt expired. Re-enter credentials.",
    help: "The second step came too late, or the password changed meanwhile. Start again with the password.",
};

/// The code is wrong.
pub const INVALID_CODE: ProblemKind = ProblemKind {
    code: "invalid_code",
    status: 401,
    title: "The code is wrong",
    help: "The code does not match. It can be tried again until the attempt is dead.",
};

/// Too many wrong codes.
pub const TOO_MANY_ATTEMPTS: ProblemKind = ProblemKind {
    code: "too_many_attempts",
    status: 429,
    title: "Too many wrong codes",
    help: "The login attempt is dead, or too many codes of this user were checked lately. Start again with the password, after `Retry-After` seconds.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] =
    &[&INVALID_CREDENTIALS, &LOGIN_NOT_FOUND, &LOGIN_EXPIRED, &INVALID_CODE, &TOO_MANY_ATTEMPTS];

/// Why a step of a login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Address or password is wrong, or the user is disabled.
    #[error("invalid credentials")]
    InvalidCredentials,
    /// Too many attempts or sends.
    #[error("too many attempts")]
    Throttled(Duration),
    /// Too many failures before this attempt.
    #[error(transparent)]
    Lockout(#[from] LockoutError),
    /// The domain demands a provider.
    #[error(transparent)]
    SsoEnforced(#[from] SsoEnforced),
    /// No hash can be computed in time.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The next step needs a mail, and none can reach the user.
    #[error("no mail can be sent")]
    EmailNotAvailable,
    /// No such pending login for this client.
    #[error("no such login attempt")]
    NotFound,
    /// The pending login is too old.
    #[error("the login attempt expired")]
    Expired,
    /// The code is wrong.
    #[error("the code is wrong")]
    InvalidCode,
    /// Too many wrong codes.
    #[error("too many wrong codes")]
    TooManyAttempts,
    /// Too many codes of this user were checked lately.
    #[error("too many codes of this user")]
    TooManyCodes(Duration),
    /// No code was sent.
    #[error("no code")]
    CodeRequired,
    /// The user has no passkey as second factor.
    #[error("no passkey as second factor")]
    NoPasskeys,
    /// The passkey is not accepted.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// What a provider says signs nobody in.
    #[error(transparent)]
    Social(#[from] SocialError),
    /// The organization of the domain lets no newcomers in.
    #[error("the organization lets no newcomers in")]
    JitNotEnabled,
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<LoginError> for Fault {
    fn from(err: LoginError) -> Self {
        match err {
            LoginError::InvalidCredentials => Self::of(&INVALID_CREDENTIALS),
            LoginError::Throttled(wait) => Self::of(&THROTTLED).retry_after(wait),
            LoginError::Lockout(err) => err.into(),
            LoginError::SsoEnforced(err) => err.into(),
            LoginError::Overloaded(err) => err.into(),
            LoginError::EmailNotAvailable => Self::of(&EMAIL_NOT_AVAILABLE).retry_after(Duration::from_secs(3600)),
            LoginError::NotFound => Self::of(&LOGIN_NOT_FOUND),
            LoginError::Expired => Self::of(&LOGIN_EXPIRED),
            LoginError::InvalidCode => Self::of(&INVALID_CODE),
            LoginError::TooManyAttempts => Self::of(&TOO_MANY_ATTEMPTS).retry_after(Duration::from_secs(1)),
            LoginError::TooManyCodes(wait) => Self::of(&TOO_MANY_ATTEMPTS).retry_after(wait),
            LoginError::CodeRequired => {
                let detail = "A code, a passkey or a backup code is required.".to_owned();
                Self::of(&VALIDATION).errors(vec![FieldError { pointer: "/code", code: "required", detail }])
            }
            LoginError::NoPasskeys => Self::of(&NO_PASSKEYS),
            LoginError::Passkey(err) => err.into(),
            LoginError::Social(err) => err.into(),
            LoginError::JitNotEnabled => Self::of(&JIT_NOT_ENABLED),
            LoginError::Database(err) => err.into(),
        }
    }
}
