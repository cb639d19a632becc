//! Section `domains` of the configuration.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Deserializer};

use crate::{config::empty_is_none, rate_limit::Limit};

/// How long a lookup may take at most: a batch of them has to end before the lease of its job does.
const LONGEST_LOOKUP: Duration = Duration::from_secs(10);

/// Which domains demand a provider, and how organizations prove theirs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainsConfig {
    /// Rules of the form `domain=provider`.
    pub sso_enforced: Vec<SsoRule>,
    /// The name server that is asked; those of this machine where absent.
    #[serde(deserialize_with = "empty_is_none")]
    pub resolver: Option<SocketAddr>,
    /// How long one lookup may take, ten at most.
    pub lookup_seconds: u64,
    /// Lookups that the users of one organization may ask for.
    pub lookups_per_organization: Limit,
    /// Domains that one organization may claim.
    pub max_per_organization: u64,
    /// How long after a check a proven domain is checked again.
    pub recheck_seconds: u64,
    /// How many checks in a row have to find no proof until it counts as lost.
    pub checks_until_lost: i32,
}

impl DomainsConfig {
    /// How long one lookup may take.
    pub(super) fn lookup(&self) -> Duration {
        Duration::from_secs(self.lookup_seconds).min(LONGEST_LOOKUP)
    }

    /// How long after a check a proven domain is checked again.
    pub(super) fn recheck(&self) -> Duration {
        Duration::from_secs(self.recheck_seconds)
    }
}

/// One domain and the provider it demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsoRule {
    /// The domain, in ASCII and lower case.
    pub domain: String,
    /// The provider, such as `saml` or `google`.
    pub provider: String,
}

impl<'de> Deserialize<'de> for SsoRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = String::deserialize(deserializer)?;
        let (domain, provider) =
            text.split_once('=').ok_or_else(|| D::Error::custom("expected \"domain=provider\""))?;
        let domain = idna::domain_to_ascii_strict(domain.trim()).map_err(|_| D::Error::custom("not a domain"))?;
        Ok(Self { domain, provider: provider.trim().to_owned() })
    }
}
