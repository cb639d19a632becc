//! What can go wrong with domains, and the problem it becomes.

use std::time::Duration;

use sea_orm::DbErr;

use crate::{
    fault::{Fault, FieldError, ProblemKind, THROTTLED, VALIDATION},
    orgs::OrgError,
};

/// When to try again after the name servers did not answer.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The domain demands a provider.
pub const SSO_ENFORCED: ProblemKind = ProblemKind {
    code: "sso_enforced",
    status: 403,
    title: "Sign in with your organization's provider",
    help: "The e-mail domain demands single sign-on: passwords, sign-up and reset are refused for all its addresses. `detail` names the provider.",
};

/// The organization has no such domain.
pub const DOMAIN_NOT_FOUND: ProblemKind = ProblemKind {
    code: "domain_not_found",
    status: 404,
    title: "No such domain",
    help: "The id is unknown, or belongs to another organization.",
};

/// The organization claims the domain already.
pub const DOMAIN_EXISTS: ProblemKind = ProblemKind {
    code: "domain_exists",
    status: 409,
    title: "The organization has this domain already",
    help: "A domain is claimed once by an organization, in whatever spelling.",
};

/// Another organization has proven the domain.
pub const DOMAIN_TAKEN: ProblemKind = ProblemKind {
    code: "domain_taken",
    status: 409,
    title: "Another organization has proven this domain",
    help: "The record is right, and another organization proved the domain before. It loses the domain when its own record is gone for a while.",
};

/// The domain changed while its name servers were asked.
pub const DOMAIN_CHANGED: ProblemKind = ProblemKind {
    code: "domain_changed",
    status: 409,
    title: "The domain changed meanwhile",
    help: "Somebody changed, removed or verified the domain while its name servers were asked. Look at it again.",
};

/// There is nothing to prove.
pub const ALREADY_VERIFIED: ProblemKind = ProblemKind {
    code: "already_verified",
    status: 409,
    title: "The domain is verified already",
    help: "The organization has proven this domain, and the proof holds.",
};

/// The setting needs a proof of the domain.
pub const VERIFICATION_REQUIRED: ProblemKind = ProblemKind {
    code: "verification_required",
    status: 409,
    title: "Verify the domain first",
    help: "What holds for the addresses of a domain can be turned on by the organization that has proven it.",
};

/// The name servers do not answer.
pub const DNS_UNAVAILABLE: ProblemKind = ProblemKind {
    code: "dns_unavailable",
    status: 503,
    title: "The domain's name servers do not answer",
    help: "The lookup took too long or failed at the name server, so nothing is known about the record. Try again after `Retry-After` seconds.",
};

/// Nobody joins by signing in.
pub const JIT_NOT_ENABLED: ProblemKind = ProblemKind {
    code: "jit_not_enabled",
    status: 403,
    title: "Your organization lets nobody in who has no account. Ask its administrators for one",
    help: "The domain is an organization's that demands a provider and does not let newcomers join by it, and `social.allow_signup` is off.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[
    &SSO_ENFORCED,
    &DOMAIN_NOT_FOUND,
    &DOMAIN_EXISTS,
    &DOMAIN_TAKEN,
    &DOMAIN_CHANGED,
    &ALREADY_VERIFIED,
    &VERIFICATION_REQUIRED,
    &DNS_UNAVAILABLE,
    &JIT_NOT_ENABLED,
];

/// The domain demands a provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the domain demands sign-in with {provider}")]
pub struct SsoEnforced {
    /// The provider.
    pub provider: String,
}

impl From<SsoEnforced> for Fault {
    fn from(err: SsoEnforced) -> Self {
        Self::of(&SSO_ENFORCED).detail(format!("Addresses of this domain sign in with {}.", err.provider))
    }
}

/// Why a use case of this slice failed.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// Fields do not validate.
    #[error("invalid fields")]
    Invalid(Vec<FieldError>),
    /// The organization has no such domain.
    #[error("no such domain")]
    NotFound,
    /// The organization claims it already.
    #[error("claimed already")]
    Exists,
    /// Another organization has proven it.
    #[error("another organization's")]
    Taken,
    /// It changed while the name servers were asked.
    #[error("changed meanwhile")]
    Changed,
    /// There is nothing to prove.
    #[error("verified already")]
    AlreadyVerified,
    /// The setting needs a proof.
    #[error("not verified")]
    VerificationRequired,
    /// The name servers do not answer; why, for the log.
    #[error("no answer of the name servers: {0}")]
    Unanswered(String),
    /// Too many lookups.
    #[error("too many lookups")]
    Throttled(Duration),
    /// The organization is out of reach, or the role does not allow it.
    #[error(transparent)]
    Organization(#[from] OrgError),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<DomainError> for Fault {
    fn from(err: DomainError) -> Self {
        match err {
            DomainError::Invalid(errors) => Self::of(&VALIDATION).errors(errors),
            DomainError::NotFound => Self::of(&DOMAIN_NOT_FOUND),
            DomainError::Exists => Self::of(&DOMAIN_EXISTS),
            DomainError::Taken => Self::of(&DOMAIN_TAKEN),
            DomainError::Changed => Self::of(&DOMAIN_CHANGED),
            DomainError::AlreadyVerified => Self::of(&ALREADY_VERIFIED),
            DomainError::VerificationRequired => Self::of(&VERIFICATION_REQUIRED),
            DomainError::Unanswered(why) => Self::of(&DNS_UNAVAILABLE).retry_after(RETRY_AFTER).source(why),
            DomainError::Throttled(wait) => Self::of(&THROTTLED).retry_after(wait),
            DomainError::Organization(err) => err.into(),
            DomainError::Database(err) => err.into(),
        }
    }
}
