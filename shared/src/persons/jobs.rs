//! The scheduled work on events.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::jobs::{Job, Queue, Retry};

/// Delete events and warnings that are older than the configured time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepEvents {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
    /// Which batch of the window.
    #[serde(default, skip_serializing_if = "is_first")]
    pub step: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_first(step: &u32) -> bool {
    *step == 0
}

impl Job for SweepEvents {
    const NAME: &'static str = "persons.sweep_events";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(if self.step == 0 { self.window.to_string() } else { format!("{}.{}", self.window, self.step) })
    }
}
