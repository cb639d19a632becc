//! Section `login` of the configuration.

use std::time::Duration;

use serde::Deserialize;

use crate::rate_limit::Limit;

/// How signing in behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginConfig {
    /// How long the second step may take after the password.
    pub two_factor_seconds: u64,
    /// Login attempts per client network.
    pub per_network: Limit,
}

impl LoginConfig {
    /// How long the second step may take after the password.
    #[must_use]
    pub fn two_factor(&self) -> Duration {
        Duration::from_secs(self.two_factor_seconds)
    }
}
