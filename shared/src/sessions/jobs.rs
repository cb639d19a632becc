//! Scheduled work on sessions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::jobs::{Job, Queue, Retry};

/// Delete sessions that ended more than a day ago. Hygiene only: every check compares the expiry itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepEndedSessions {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
}

impl Job for SweepEndedSessions {
    const NAME: &'static str = "sessions.sweep_ended";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.window.to_string())
    }
}
