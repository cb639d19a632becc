//! What a test wants to be different.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::json;
use shared::{config::Config, domains::DomainsConfig, rate_limit::Limit};

/// Configuration of a [`crate::TestApp`].
pub struct Settings {
    /// Changes to the defaults of tests.
    pub change: Box<dyn FnOnce(&mut Config) + Send>,
}

impl Settings {
    /// The defaults of tests, changed.
    pub fn with(change: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        Self { change: Box::new(change) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::with(|_| {})
    }
}

/// A limit that no test reaches.
pub const UNLIMITED: Limit = Limit { count: 0, per_seconds: 1 };

/// A name server that is none: no test asks one outside of this machine.
pub(crate) const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// Domains that demand a provider, as rules of the configuration.
///
/// # Panics
/// When one is no rule.
#[must_use]
pub fn enforcing(rules: &[&str]) -> DomainsConfig {
    let mut domains = Config::defaults().expect("the defaults").domains;
    domains.resolver = Some(NOWHERE);
    domains.sso_enforced = serde_json::from_value(json!(rules)).expect("rules");
    domains
}
