//! Section `domains` of the configuration.

use serde::{Deserialize, Deserializer};

/// Which domains demand a provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainsConfig {
    /// Rules of the form `domain=provider`.
    pub sso_enforced: Vec<SsoRule>,
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
