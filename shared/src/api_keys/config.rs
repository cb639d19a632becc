//! Section `api_keys` of the configuration.

use std::time::Duration;

use serde::Deserialize;

use crate::rate_limit::Limit;

const DAY: Duration = Duration::from_secs(86_400);

/// How many personal API keys there may be, and how long they live.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeysConfig {
    /// Active keys of one user.
    pub max_per_user: u32,
    /// Days without use after which a key expires.
    pub inactive_days: u64,
    /// How precisely the last use is recorded.
    pub touch_seconds: u64,
    /// What keys of former installations begin with.
    pub legacy_prefixes: Vec<String>,
    /// Slow hashes of such keys, per client network.
    pub legacy_per_network: Limit,
    /// Reports of leaked keys, per client network.
    pub leaks_per_network: Limit,
    /// Rows that the sweep changes in one transaction.
    pub sweep_batch: u32,
    /// Warnings and notices of expiry per pass of the sweep.
    pub sweep_mails: u32,
}

impl ApiKeysConfig {
    /// How long a key lives without use.
    #[must_use]
    pub fn inactivity(&self) -> Duration {
        DAY * u32::try_from(self.inactive_days).unwrap_or(u32::MAX)
    }

    /// How long without use until the warning this many days before the end.
    #[must_use]
    pub fn inactivity_until_warning(&self, days: u32) -> Duration {
        self.inactivity().saturating_sub(DAY * days)
    }

    /// How precisely the last use is recorded.
    #[must_use]
    pub fn touch(&self) -> Duration {
        Duration::from_secs(self.touch_seconds)
    }
}
