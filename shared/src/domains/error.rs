//! Why a password is not accepted for a domain, and the problem it becomes.

use crate::fault::{Fault, ProblemKind};

/// The domain demands a provider.
pub const SSO_ENFORCED: ProblemKind = ProblemKind {
    code: "sso_enforced",
    status: 403,
    title: "Sign in with your organization's provider",
    help: "The e-mail domain demands single sign-on: passwords, sign-up and reset are refused for all its addresses. `detail` names the provider.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] = &[&SSO_ENFORCED];

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
