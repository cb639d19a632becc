//! Enforcement: what organizations demand of their members, and whether a session meets it.
//!
//! ```text
//! organizations of a user ── rules_of ──► Rules, the strictest of each        kept with the session, by generation
//! Demand × Evidence ── shortfall ──► none | set a factor up | prove the factor
//!     every request (gateway) ──► all but the set-up is refused
//!     every organization that is touched (orgs::require) ──► refused, by whichever route
//! change of a policy ── on_change ──► does who changes it meet it? ── NotifyMembers ──► batches ──► a notice each
//! ```
//!
//! Invariants: the strictest organization of a user decides, whichever one they work in; what a session proved is held
//! against what the user has now; nobody can demand what they do not do themselves; nothing here is asked of a cache that
//! may be older than the request.

mod error;
mod flow;
mod jobs;
mod policy;

pub use error::{
    PROBLEMS, Shortfall, TWO_FACTOR_ENFORCED, TWO_FACTOR_SETUP_REQUIRED, TWO_FACTOR_VERIFICATION_REQUIRED,
};
pub use flow::{on_change, required_notice, rules_of, tell_members};
pub use jobs::{NotifyMembers, NotifyTwoFactorRequired};
pub use policy::{Demand, EMAIL_MFA, Evidence, Rules};
