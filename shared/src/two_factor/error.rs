//! Why a change of second factors failed, and the problem it becomes.

use sea_orm::DbErr;

use crate::{
    enforcement::TWO_FACTOR_ENFORCED,
    fault::{Fault, FieldError, ProblemKind, VALIDATION},
    passkey::PasskeyError,
    sessions::SessionError,
    totp::Refusal,
};

/// The setup of an authenticator app is over, or there is none.
pub const SETUP_EXPIRED: ProblemKind = ProblemKind {
    code: "setup_expired",
    status: 400,
    title: "The setup has expired",
    help: "There is no setup of an authenticator app that this session began and that still waits. Begin again.",
};

/// There is an authenticator app.
pub const TOTP_ALREADY_ENABLED: ProblemKind = ProblemKind {
    code: "totp_already_enabled",
    status: 409,
    title: "An authenticator app is in use",
    help: "Replacing the app needs a recent proof of identity in a session that passed the second factor. Reauthenticate, then begin again.",
};

/// There is no authenticator app.
pub const TOTP_NOT_ENABLED: ProblemKind = ProblemKind {
    code: "totp_not_enabled",
    status: 404,
    title: "No authenticator app is in use",
    help: "The user has no authenticator app that could be removed.",
};

/// There is no second factor.
pub const TWO_FACTOR_NOT_ENABLED: ProblemKind = ProblemKind {
    code: "two_factor_not_enabled",
    status: 409,
    title: "There is no second factor",
    help: "The user has no second factor: none that backup codes could stand in for, and none to be reset.",
};

/// There is no passkey.
pub const NO_PASSKEYS: ProblemKind = ProblemKind {
    code: "no_passkeys",
    status: 409,
    title: "There is no passkey",
    help: "The user has no passkey that could be a second factor. Add one, and enable passkeys as second factor.",
};

/// Nothing would be left as second factor.
pub const LAST_SECOND_FACTOR: ProblemKind = ProblemKind {
    code: "last_second_factor",
    status: 409,
    title: "This is the last second factor",
    help: "Without this passkey the account would have no second factor. Add another one, or disable passkeys as second factor first.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[
    &SETUP_EXPIRED,
    &TOTP_ALREADY_ENABLED,
    &TOTP_NOT_ENABLED,
    &TWO_FACTOR_NOT_ENABLED,
    &NO_PASSKEYS,
    &LAST_SECOND_FACTOR,
];

/// Why a change of second factors failed.
#[derive(Debug, thiserror::Error)]
pub enum TwoFactorError {
    /// The setup is over, or there is none.
    #[error("no setup that waits")]
    SetupExpired,
    /// The code is wrong.
    #[error("the code is wrong")]
    InvalidCode,
    /// There is an app, and no recent proof to replace it.
    #[error("an authenticator app is in use")]
    TotpAlreadyEnabled,
    /// There is no app.
    #[error("no authenticator app is in use")]
    TotpNotEnabled,
    /// There is no second factor.
    #[error("there is no second factor")]
    NotEnabled,
    /// There is no passkey.
    #[error("there is no passkey")]
    NoPasskeys,
    /// Nothing would be left as second factor.
    #[error("the last second factor")]
    LastSecondFactor,
    /// The passkey is not the user's, or the last way to sign in.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// An organization demands the factor that was to be removed.
    #[error("an organization demands a second factor")]
    Enforced,
    /// The last proof of identity is too old or too weak.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<Refusal> for TwoFactorError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::SetupExpired => Self::SetupExpired,
            Refusal::WrongCode => Self::InvalidCode,
        }
    }
}

impl From<TwoFactorError> for Fault {
    fn from(err: TwoFactorError) -> Self {
        match err {
            TwoFactorError::SetupExpired => Self::of(&SETUP_EXPIRED),
            TwoFactorError::InvalidCode => {
                let detail = "The code is wrong.".to_owned();
                Self::of(&VALIDATION).errors(vec![FieldError { pointer: "/code", code: "invalid_code", detail }])
            }
            TwoFactorError::TotpAlreadyEnabled => Self::of(&TOTP_ALREADY_ENABLED),
            TwoFactorError::TotpNotEnabled => Self::of(&TOTP_NOT_ENABLED),
            TwoFactorError::NotEnabled => Self::of(&TWO_FACTOR_NOT_ENABLED),
            TwoFactorError::NoPasskeys => Self::of(&NO_PASSKEYS),
            TwoFactorError::LastSecondFactor => Self::of(&LAST_SECOND_FACTOR),
            TwoFactorError::Passkey(err) => err.into(),
            TwoFactorError::Enforced => Self::of(&TWO_FACTOR_ENFORCED),
            TwoFactorError::Session(err) => err.into(),
            TwoFactorError::Database(err) => err.into(),
        }
    }
}
