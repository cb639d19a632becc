//! What the user is told during a reset, and the scheduled work.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::TwoFactorResetId;
use crate::{
    jobs::{Job, Queue, Retry},
    users::UserId,
};

/// Mail the link of a reset to its user. The link is derived by the worker, so no secret crosses the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendTwoFactorResetLink {
    /// The request.
    pub reset_id: TwoFactorResetId,
}

impl Job for SendTwoFactorResetLink {
    const NAME: &'static str = "two_factor_reset.send_link";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Mail;
    const RETRY: Retry = Retry::MAIL;
    const EXPIRES: Option<Duration> = Some(Duration::from_hours(24));
}

/// Tell a user that their second factors were reset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyTwoFactorReset {
    /// The user.
    pub user_id: UserId,
    /// Audit row of the reset.
    pub audit_id: Uuid,
}

impl Job for NotifyTwoFactorReset {
    const NAME: &'static str = "two_factor_reset.notify_done";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.audit_id.to_string())
    }
}

/// Delete requests whose link expired more than a week ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepTwoFactorResets {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
}

impl Job for SweepTwoFactorResets {
    const NAME: &'static str = "two_factor_reset.sweep_resets";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.window.to_string())
    }
}
