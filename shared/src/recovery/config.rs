//! Section `recovery` of the configuration.

use std::time::Duration;

use serde::Deserialize;

use crate::rate_limit::Limit;

/// How password reset behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryConfig {
    /// Validity of a link.
    pub link_seconds: u64,
    /// How long after a reset a mailed login code proves the mailbox only, and not the password.
    pub same_mailbox_seconds: u64,
    /// Requests per address and client network.
    pub per_address: Limit,
    /// Requests per client network.
    pub per_network: Limit,
}

impl RecoveryConfig {
    /// Validity of a link.
    #[must_use]
    pub fn validity(&self) -> Duration {
        Duration::from_secs(self.link_seconds)
    }

    /// How long after a reset a mailed login code proves the mailbox only.
    #[must_use]
    pub fn same_mailbox(&self) -> Duration {
        Duration::from_secs(self.same_mailbox_seconds)
    }
}
