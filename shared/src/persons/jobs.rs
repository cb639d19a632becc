//! The scheduled work on events.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::jobs::{Job, Queue, Retry};

/// Delete events and warnings that are older than the configured time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepEvents {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
}

impl Job for SweepEvents {
    const NAME: &'static str = "persons.sweep_events";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.window.to_string())
    }
}
