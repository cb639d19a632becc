//! E-mail domains: which ones demand a provider of their own.
//!
//! ```text
//! login, sign-up, reset ── sso_enforcement(address) ──► Some(provider) → 403 sso_enforced, before anything else
//! ```
//!
//! Enforcement is decided on the domain alone, never on whether a user exists, so it tells nothing about accounts. It
//! comes from the configuration; it holds exactly for the domain, in whatever spelling, and not for its sub-domains.

mod config;
mod error;

pub use config::DomainsConfig;
pub use error::{PROBLEMS, SsoEnforced};

use crate::users::Email;

/// Refuses addresses whose domain demands a provider.
///
/// # Errors
/// When the domain of `email` demands one; the error names it.
pub fn ensure_password_allowed(config: &DomainsConfig, email: &Email) -> Result<(), SsoEnforced> {
    match config.sso_enforced.iter().find(|rule| rule.domain == email.domain()) {
        Some(rule) => Err(SsoEnforced { provider: rule.provider.clone() }),
        None => Ok(()),
    }
}
