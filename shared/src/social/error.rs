//! What can go wrong with a provider, and the problem it becomes.

use std::time::Duration;

use sea_orm::DbErr;

use crate::{
    domains::SsoEnforced,
    fault::{Fault, ProblemKind, THROTTLED},
    passkey::LAST_LOGIN_METHOD,
};

/// There is no such provider.
pub const INVALID_SSO_PROVIDER: ProblemKind = ProblemKind {
    code: "invalid_sso_provider",
    status: 400,
    title: "This installation knows no such provider",
    help: "The provider is neither one of those that are built in nor one of `social.oidc`.",
};

/// The provider is known and has no client.
pub const IMPROPERLY_CONFIGURED_SSO: ProblemKind = ProblemKind {
    code: "improperly_configured_sso",
    status: 400,
    title: "This provider is not set up here",
    help: "The provider has no client id or no client secret in the configuration of this installation.",
};

/// No such sign-in for this browser.
pub const INVALID_SSO_STATE: ProblemKind = ProblemKind {
    code: "invalid_sso_state",
    status: 400,
    title: "The sign-in was not begun in this browser, took too long, or was used before. Try again",
    help: "The `state` of the callback is unknown, spent, expired, of another provider, or was given to another browser or session.",
};

/// The user said no at the provider.
pub const SSO_CANCELLED: ProblemKind = ProblemKind {
    code: "sso_cancelled",
    status: 400,
    title: "The sign-in was cancelled at the provider",
    help: "The provider sent the user back with an error, such as `access_denied`.",
};

/// The provider does not answer.
pub const SSO_UNAVAILABLE: ProblemKind = ProblemKind {
    code: "sso_unavailable",
    status: 503,
    title: "The provider does not answer. Try again in a moment",
    help: "The provider did not answer in time, answered with an error of its own, or is at an address that this installation does not reach.",
};

/// What the provider says does not verify.
pub const SSO_REJECTED: ProblemKind = ProblemKind {
    code: "sso_rejected",
    status: 400,
    title: "The provider's answer was not accepted",
    help: "The code was refused, or the ID token does not verify. The log of this installation says which.",
};

/// The provider does not tell what an account needs.
pub const REQUIRED: ProblemKind = ProblemKind {
    code: "required",
    status: 400,
    title: "The provider tells no e-mail address or no name, which an account needs",
    help: "Nothing was created. The address or the name may be kept private at the provider, or a scope is missing.",
};

/// The provider does not vouch for the address.
pub const SSO_EMAIL_NOT_VERIFIED: ProblemKind = ProblemKind {
    code: "sso_email_not_verified",
    status: 403,
    title: "The provider has not verified this e-mail address. Sign in another way and link the provider in your account",
    help: "An address counts only where the provider is trusted with addresses and says that it verified this one. Whether there is such an account is not told.",
};

/// Newcomers are not let in this way.
pub const SSO_SIGNUP_DISABLED: ProblemKind = ProblemKind {
    code: "sso_signup_disabled",
    status: 403,
    title: "No account is linked to this identity",
    help: "`social.allow_signup` is off, so that the first sign-in with a provider makes no account.",
};

/// The user is disabled.
pub const SSO_ACCOUNT_DISABLED: ProblemKind = ProblemKind {
    code: "sso_account_disabled",
    status: 403,
    title: "This account may not sign in",
    help: "The account that the identity belongs to is disabled.",
};

/// The identity belongs to another account.
pub const SSO_IDENTITY_IN_USE: ProblemKind = ProblemKind {
    code: "sso_identity_in_use",
    status: 409,
    title: "This identity is linked to another account",
    help: "An identity at a provider signs in to one account. Unlink it there first.",
};

/// The identity has another address than the account.
pub const SSO_EMAIL_MISMATCH: ProblemKind = ProblemKind {
    code: "sso_email_mismatch",
    status: 409,
    title: "This identity has another e-mail address than your account",
    help: "`social.link_requires_same_email` is on: only identities with the address of the account can be linked to it.",
};

/// There is no such link.
pub const LINKED_ACCOUNT_NOT_FOUND: ProblemKind = ProblemKind {
    code: "linked_account_not_found",
    status: 404,
    title: "No such linked account",
    help: "The id is unknown, or the link is another user's.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[
    &INVALID_SSO_PROVIDER,
    &IMPROPERLY_CONFIGURED_SSO,
    &INVALID_SSO_STATE,
    &SSO_CANCELLED,
    &SSO_UNAVAILABLE,
    &SSO_REJECTED,
    &REQUIRED,
    &SSO_EMAIL_NOT_VERIFIED,
    &SSO_SIGNUP_DISABLED,
    &SSO_ACCOUNT_DISABLED,
    &SSO_IDENTITY_IN_USE,
    &SSO_EMAIL_MISMATCH,
    &LINKED_ACCOUNT_NOT_FOUND,
];

/// Why a use case of this slice failed.
#[derive(Debug, thiserror::Error)]
pub enum SocialError {
    /// There is no such provider.
    #[error("no such provider")]
    UnknownProvider,
    /// The provider is known and has no client.
    #[error("the provider is not configured")]
    NotConfigured,
    /// Too many sign-ins.
    #[error("too many sign-ins")]
    Throttled(Duration),
    /// No such sign-in for this browser.
    #[error("no such sign-in")]
    InvalidState,
    /// The user said no at the provider.
    #[error("cancelled at the provider")]
    Cancelled,
    /// The provider does not answer; why, for the log.
    #[error("the provider does not answer: {0}")]
    Unavailable(String),
    /// What the provider says does not verify; what of it, for the log.
    #[error("the provider's answer is not accepted: {0}")]
    Rejected(String),
    /// The provider does not tell what an account needs.
    #[error("no address or no name")]
    Incomplete,
    /// The provider does not vouch for the address.
    #[error("the address is not verified")]
    EmailNotVerified,
    /// Newcomers are not let in this way.
    #[error("no account, and none is made")]
    SignupDisabled,
    /// The user is disabled.
    #[error("the user is disabled")]
    AccountDisabled,
    /// The identity belongs to another account.
    #[error("the identity is another account's")]
    InUse,
    /// The identity has another address than the account.
    #[error("the addresses differ")]
    EmailMismatch,
    /// There is no such link.
    #[error("no such link")]
    NotFound,
    /// Nothing would be left to sign in with.
    #[error("the last way to sign in")]
    LastMethod,
    /// The domain demands another provider.
    #[error(transparent)]
    SsoEnforced(#[from] SsoEnforced),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<SocialError> for Fault {
    fn from(err: SocialError) -> Self {
        match err {
            SocialError::UnknownProvider => Self::of(&INVALID_SSO_PROVIDER),
            SocialError::NotConfigured => Self::of(&IMPROPERLY_CONFIGURED_SSO),
            SocialError::Throttled(wait) => Self::of(&THROTTLED).retry_after(wait),
            SocialError::InvalidState => Self::of(&INVALID_SSO_STATE),
            SocialError::Cancelled => Self::of(&SSO_CANCELLED),
            SocialError::Unavailable(why) => Self::of(&SSO_UNAVAILABLE).retry_after(Duration::from_secs(5)).source(why),
            SocialError::Rejected(why) => Self::of(&SSO_REJECTED).source(why),
            SocialError::Incomplete => Self::of(&REQUIRED),
            SocialError::EmailNotVerified => Self::of(&SSO_EMAIL_NOT_VERIFIED),
            SocialError::SignupDisabled => Self::of(&SSO_SIGNUP_DISABLED),
            SocialError::AccountDisabled => Self::of(&SSO_ACCOUNT_DISABLED),
            SocialError::InUse => Self::of(&SSO_IDENTITY_IN_USE),
            SocialError::EmailMismatch => Self::of(&SSO_EMAIL_MISMATCH),
            SocialError::NotFound => Self::of(&LINKED_ACCOUNT_NOT_FOUND),
            SocialError::LastMethod => Self::of(&LAST_LOGIN_METHOD),
            SocialError::SsoEnforced(err) => err.into(),
            SocialError::Database(err) => err.into(),
        }
    }
}
