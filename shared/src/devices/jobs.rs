//! What a user is told about devices, and the scheduled work.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    jobs::{Job, Queue, Retry},
    users::UserId,
};

/// Tell a user of a login with a device that they never used before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyNewDevice {
    /// The user.
    pub user_id: UserId,
    /// Audit row of the login.
    pub audit_id: Uuid,
}

impl Job for NotifyNewDevice {
    const NAME: &'static str = "devices.notify_new_device";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.audit_id.to_string())
    }
}

/// Delete devices that nobody has used for a long time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepDevices {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
}

impl Job for SweepDevices {
    const NAME: &'static str = "devices.sweep_devices";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.window.to_string())
    }
}
