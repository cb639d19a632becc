//! Section `two_factor_reset` of the configuration.

use std::time::Duration;

use serde::Deserialize;

use crate::rate_limit::Limit;

/// How the reset of second factors behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoFactorResetConfig {
    /// Validity of a link.
    pub link_seconds: u64,
    /// Links for one user.
    pub per_user: Limit,
    /// Links that one administrator asks for.
    pub per_admin: Limit,
}

impl TwoFactorResetConfig {
    /// Validity of a link.
    #[must_use]
    pub fn validity(&self) -> Duration {
        Duration::from_secs(self.link_seconds)
    }
}
