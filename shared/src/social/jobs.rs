//! What the world is told about linked identities, and scheduled work.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    jobs::{Job, Queue, Retry},
    users::UserId,
};

/// Tell a user that an identity at a provider was linked to their account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyLinked {
    /// The user.
    pub user_id: UserId,
    /// Audit row of the event: when, from where and with what.
    pub audit_id: Uuid,
}

impl Job for NotifyLinked {
    const NAME: &'static str = "social.notify_linked";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}

/// Tell a user that an identity is no longer linked to their account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyUnlinked {
    /// The user.
    pub user_id: UserId,
    /// Audit row of the event: when, from where and with what.
    pub audit_id: Uuid,
}

impl Job for NotifyUnlinked {
    const NAME: &'static str = "social.notify_unlinked";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}

/// Delete sign-ins that no provider answered in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepSocialLogins {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
}

impl Job for SweepSocialLogins {
    const NAME: &'static str = "social.sweep_logins";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.window.to_string())
    }
}
