//! Scheduled work on logins.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::jobs::{Job, Queue, Retry};

/// Delete pending logins that expired more than a day ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepLogins {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
}

impl Job for SweepLogins {
    const NAME: &'static str = "login.sweep_logins";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.window.to_string())
    }
}
