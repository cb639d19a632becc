//! Section `totp` of the configuration.

use std::time::Duration;

use serde::Deserialize;

/// How authenticator apps are set up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TotpConfig {
    /// What apps show beside the account.
    pub issuer: String,
    /// How long a setup waits for its first code.
    pub setup_seconds: u64,
    /// Secrets that one job seals anew after a change of keys.
    pub reseal_batch: u64,
}

impl TotpConfig {
    /// How long a setup waits for its first code.
    #[must_use]
    pub fn setup(&self) -> Duration {
        Duration::from_secs(self.setup_seconds)
    }
}
