//! What a session lacks, and the problem it becomes.

use crate::fault::{Fault, ProblemKind};

/// An organization demands a second factor, and the user has none.
pub const TWO_FACTOR_SETUP_REQUIRED: ProblemKind = ProblemKind {
    code: "two_factor_setup_required",
    status: 403,
    title: "Set up a second factor first",
    help: "An organization of the user demands two-factor authentication, and the user has no second factor. Until there is one, the session can only set one up: an authenticator app or a passkey.",
};

/// An organization demands a second factor, and the session did not prove it.
pub const TWO_FACTOR_VERIFICATION_REQUIRED: ProblemKind = ProblemKind {
    code: "two_factor_verification_required",
    status: 403,
    title: "Prove the second factor first",
    help: "An organization of the user demands two-factor authentication, and this session was opened without it. Reauthenticate with the second factor, or sign in again with it.",
};

/// An organization demands the factor that was to be removed.
pub const TWO_FACTOR_ENFORCED: ProblemKind = ProblemKind {
    code: "two_factor_enforced",
    status: 409,
    title: "An organization demands a second factor",
    help: "The last second factor cannot be removed while an organization of the user demands one. Add another one first, or leave the organization.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] =
    &[&TWO_FACTOR_SETUP_REQUIRED, &TWO_FACTOR_VERIFICATION_REQUIRED, &TWO_FACTOR_ENFORCED];

/// What a session lacks to meet a demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortfall {
    /// The user has no second factor.
    #[error("a second factor has to be set up")]
    Setup,
    /// The user has one, and this session did not prove it.
    #[error("the second factor has to be proven")]
    Verification,
}

impl From<Shortfall> for Fault {
    fn from(shortfall: Shortfall) -> Self {
        Self::of(match shortfall {
            Shortfall::Setup => &TWO_FACTOR_SETUP_REQUIRED,
            Shortfall::Verification => &TWO_FACTOR_VERIFICATION_REQUIRED,
        })
    }
}
