//! Section `orgs` of the configuration.

use serde::Deserialize;

/// How many organizations there may be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgsConfig {
    /// Organizations that one user may own.
    pub max_owned_per_user: u64,
}
