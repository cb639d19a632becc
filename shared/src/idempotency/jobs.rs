//! Scheduled work on kept answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::jobs::{Job, Queue, Retry};

/// Delete answers that are too old to be repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepIdempotencyKeys {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
}

impl Job for SweepIdempotencyKeys {
    const NAME: &'static str = "idempotency.sweep_keys";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.window.to_string())
    }
}
