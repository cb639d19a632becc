//! Section `email_mfa` of the configuration.

use std::time::Duration;

use serde::Deserialize;

use crate::rate_limit::Limit;

/// How the e-mail step behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailMfaConfig {
    /// Validity of a link and code.
    pub validity_seconds: u64,
    /// Wrong codes until the attempt is dead.
    pub max_attempts: i32,
    /// Time between two sends of one attempt.
    pub resend_after_seconds: u64,
    /// Sends per user.
    pub per_user: Limit,
}

impl EmailMfaConfig {
    /// Validity of a link and code.
    #[must_use]
    pub fn validity(&self) -> Duration {
        Duration::from_secs(self.validity_seconds)
    }
}
