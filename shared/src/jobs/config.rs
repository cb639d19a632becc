//! Section `jobs` of the configuration.

use std::time::Duration;

use serde::Deserialize;

/// How the job system behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobsConfig {
    /// How long finished jobs are kept.
    pub keep_finished_seconds: u64,
    /// How long a worker may hold one job.
    pub lease_seconds: u64,
    /// How long a dispatched job may stay unclaimed before it is handed out again.
    pub redispatch_seconds: u64,
    /// How often the relay looks for due jobs when nothing wakes it.
    pub poll_milliseconds: u64,
    /// Rows that one relay pass takes.
    pub relay_batch: u64,
    /// Jobs that one worker process runs at once, per queue.
    pub concurrency: u16,
    /// How long a job with an unknown name or a newer version is offered again before it is dead.
    pub unknown_patience_seconds: u64,
    /// A queue whose oldest due job is older than this makes its worker not ready.
    pub max_age_seconds: u64,
}

impl JobsConfig {
    /// How long a worker may hold one job.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }
}
