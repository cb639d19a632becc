//! Section `database` of the configuration.

use serde::Deserialize;

use crate::secret::Redacted;

/// Where the database is and how long to wait for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite://path` or `postgres://user:password@host:port/database`.
    pub url: Redacted<String>,
    /// Connections of one process to PostgreSQL.
    pub max_connections: u32,
    /// How long a request waits for a free connection before it is answered 503.
    pub acquire_timeout_seconds: u64,
    /// How long PostgreSQL works on one statement before it is cancelled.
    pub statement_timeout_seconds: u64,
    /// PostgreSQL schema to use instead of `public`.
    #[serde(deserialize_with = "crate::config::empty_is_none")]
    pub schema: Option<String>,
}
