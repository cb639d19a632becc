//! Section `devices` of the configuration.

use std::time::Duration;

use serde::Deserialize;

/// How long a device is trusted, and how long it is known.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevicesConfig {
    /// How long a device is trusted.
    pub trust_seconds: u64,
    /// How long a browser is known after its last login.
    pub known_seconds: u64,
    /// How long a client without cookies is known after its last login.
    pub fingerprint_seconds: u64,
    /// How long the link in the notice of a new device is good.
    pub link_seconds: u64,
}

impl DevicesConfig {
    /// How long a device is trusted.
    #[must_use]
    pub fn trust(&self) -> Duration {
        Duration::from_secs(self.trust_seconds)
    }
}
