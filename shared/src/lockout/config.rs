//! Section `lockout` of the configuration.

use serde::Deserialize;

use crate::rate_limit::Limit;

/// How often an authenticator may fail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockoutConfig {
    /// Failures per account and client; a device that signed in before is a client of its own.
    pub per_client: Limit,
    /// Attempts per account from all other clients together.
    pub per_account: Limit,
    /// Failures in a row that disable an authenticator of an account; 0 for never.
    pub in_a_row: u32,
}
