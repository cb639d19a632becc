//! Section `two_factor` of the configuration.

use serde::Deserialize;

use crate::rate_limit::Limit;

/// How many codes are checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoFactorConfig {
    /// Wrong codes until a pending login is dead.
    pub max_attempts: i32,
    /// Codes per user, over all pending logins.
    pub per_user: Limit,
    /// Codes per user in a longer time.
    pub per_user_long: Limit,
}
