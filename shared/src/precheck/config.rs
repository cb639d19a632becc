//! Section `precheck` of the configuration.

use serde::Deserialize;

use crate::rate_limit::Limit;

/// How often may be asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrecheckConfig {
    /// Questions of one client network.
    pub per_network: Limit,
}
