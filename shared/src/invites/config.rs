//! Section `invites` of the configuration.

use std::time::Duration;

use serde::Deserialize;

use crate::rate_limit::Limit;

/// How long invites are good, and how many may be sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvitesConfig {
    /// How long an invite is good.
    pub validity_seconds: u64,
    /// Invites to one address.
    pub per_address: Limit,
    /// Invites by one user.
    pub per_user: Limit,
}

impl InvitesConfig {
    /// How long an invite is good.
    #[must_use]
    pub fn validity(&self) -> Duration {
        Duration::from_secs(self.validity_seconds)
    }
}
