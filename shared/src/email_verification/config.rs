//! Section `email_verification` of the configuration.

use std::time::Duration;

use serde::Deserialize;

use crate::rate_limit::Limit;

/// How proof of an address works.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailVerificationConfig {
    /// Validity of a code.
    pub code_seconds: u64,
    /// Validity of a link.
    pub link_seconds: u64,
    /// Wrong codes until the code is dead.
    pub max_attempts: i32,
    /// Sign-ups per client network.
    pub signup_per_network: Limit,
    /// Resends per address and client network.
    pub resend_per_address: Limit,
}

impl EmailVerificationConfig {
    /// Validity of a code.
    #[must_use]
    pub fn code_validity(&self) -> Duration {
        Duration::from_secs(self.code_seconds)
    }

    /// Validity of a link.
    #[must_use]
    pub fn link_validity(&self) -> Duration {
        Duration::from_secs(self.link_seconds)
    }
}
