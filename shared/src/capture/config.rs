//! Section `capture` of the configuration.

use serde::Deserialize;

use crate::rate_limit::Limit;

/// Events of analytics clients.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureConfig {
    /// Largest body of a delivery, in bytes.
    pub body_limit_bytes: usize,
    /// Largest body of a delivery to `/batch`, in bytes.
    pub batch_limit_bytes: usize,
    /// Largest size of a delivery once it is unpacked, in bytes.
    pub unpacked_limit_bytes: usize,
    /// How much all deliveries that are not answered yet may take together, in bytes.
    pub memory_limit_bytes: usize,
    /// Deliveries that wait for a transaction.
    pub queue: usize,
    /// Events after which a transaction takes no further delivery.
    pub events_per_transaction: usize,
    /// Transactions at once on PostgreSQL.
    pub writers: usize,
    /// How long a project's token is known without asking the database again.
    pub project_cache_seconds: u64,
    /// Events of one project.
    pub quota: Limit,
}
