//! Section `devices` of the configuration.

use std::time::Duration;

use serde::Deserialize;

/// How long a device is trusted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevicesConfig {
    /// How long a device is trusted.
    pub trust_seconds: u64,
}

impl DevicesConfig {
    /// How long a device is trusted.
    #[must_use]
    pub fn trust(&self) -> Duration {
        Duration::from_secs(self.trust_seconds)
    }
}
