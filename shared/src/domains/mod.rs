//! E-mail domains: which ones demand a provider of their own, and which organization has proven them.
//!
//! ```text
//! claim ──► row with a challenge ──► TXT record of the domain ──► verify: the name server has it ──► proven, settings open
//! login, sign-up, reset ── find_demand(address) ──► Some(provider) → 403 sso_enforced, before anything else
//! sign-in with another provider ──────────────────► the same, as `<provider>_sso_enforced` on the sign-in page
//! sign-in with a provider ── admit(verified address) ──► proven, with just-in-time membership → a member from then on
//! once a week ── look, settle ──► record gone three times in a row → proof lost, nobody joins, administrators are told
//! ```
//!
//! Enforcement is decided on the domain alone, never on whether a user exists, so it tells nothing about accounts. It comes
//! from the configuration, which goes first and holds exactly for the domain, and from proven domains, which may include
//! their sub-domains; either in whatever spelling.
//!
//! Invariants: many organizations may claim a domain, one at a time has proven it, and a unique index says so; a proof is
//! bound to the row as it was before the name server was asked; no setting is turned on without a proof; a name server that
//! does not answer changes nothing; a demand outlives its proof and its provider, so that it fails closed, until it is
//! turned off, the domain given up or proven by another organization.

mod config;
mod entity;
mod error;
mod flow;
mod jobs;
mod resolver;
mod store;

pub use config::DomainsConfig;
pub use entity::{DomainId, Model as Domain};
pub use error::{DomainError, JIT_NOT_ENABLED, PROBLEMS, SsoEnforced};
pub use flow::{
    Demand, DomainChange, Findings, LostMail, Newcomer, SsoDemand, admit, create, delete, ensure_change_allowed,
    ensure_password_allowed, ensure_provider_allowed, find_demand, get, judge_newcomer, list, look, lost_mail, settle,
    update, verify,
};
pub use jobs::{NotifyProofLost, SweepProofs};
pub use store::remove_all;
