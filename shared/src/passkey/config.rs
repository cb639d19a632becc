//! Section `passkey` of the configuration.

use std::time::Duration;

use serde::Deserialize;

use crate::rate_limit::Limit;

/// How passkeys behave.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasskeyConfig {
    /// How long a challenge may take to be answered.
    pub ceremony_seconds: u64,
    /// Passkeys of one user.
    pub max_per_user: u64,
    /// Sign-ins that one client network may begin.
    pub starts_per_network: Limit,
}

impl PasskeyConfig {
    /// How long a challenge may take to be answered.
    #[must_use]
    pub fn ceremony(&self) -> Duration {
        Duration::from_secs(self.ceremony_seconds)
    }
}
