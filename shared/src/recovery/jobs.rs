//! What the world is told during a recovery.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ResetId;
use crate::jobs::{Job, Queue, Retry};

/// Mail a reset link. The link is derived by the worker, so no secret crosses the broker. For an address that is
/// nobody's, the job exists all the same and sends nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendResetLink {
    /// The request.
    pub reset_id: ResetId,
}

impl Job for SendResetLink {
    const NAME: &'static str = "recovery.send_reset_link";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Mail;
    const RETRY: Retry = Retry::MAIL;
    const EXPIRES: Option<Duration> = Some(Duration::from_hours(24));
}

/// Delete requests whose link expired more than a week ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepResets {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
}

impl Job for SweepResets {
    const NAME: &'static str = "recovery.sweep_resets";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.window.to_string())
    }
}
