//! What the owner of an account is told, and the scheduled work.
//!
//! The audit row says whose account it is. Jobs are enqueued for addresses without an account too, and cancelled by
//! their handler, so that a request costs the same.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::jobs::{Job, Queue, Retry};

/// Tell the owner that somebody guesses: once per window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyLocked {
    /// Digest of the account's address.
    pub account_id: Uuid,
    /// Audit row of the lock.
    pub audit_id: Uuid,
    /// Time divided by the length of a lock.
    pub window: i64,
}

impl Job for NotifyLocked {
    const NAME: &'static str = "lockout.notify_locked";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(format!("{}:{}", self.account_id, self.window))
    }
}

/// Tell the owner that an authenticator was disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyDisabled {
    /// Audit row of it.
    pub audit_id: Uuid,
}

impl Job for NotifyDisabled {
    const NAME: &'static str = "lockout.notify_disabled";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}

/// Delete counts that restrict nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepLockouts {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
}

impl Job for SweepLockouts {
    const NAME: &'static str = "lockout.sweep_lockouts";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.window.to_string())
    }
}
