//! Section `secret_keys` of the configuration.

use serde::Deserialize;

use crate::rate_limit::Limit;

/// How much secret keys of projects may be used.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretKeysConfig {
    /// Requests with one key.
    pub per_key: Limit,
    /// Requests with all keys of one project together.
    pub per_project: Limit,
}
