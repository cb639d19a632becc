//! What the world is told about authenticator apps.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    jobs::{Job, Queue, Retry},
    users::UserId,
};

/// Tell a user that an authenticator app is asked for from now on. The circumstances are in the audit row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyTotpEnabled {
    /// The user.
    pub user_id: UserId,
    /// Audit row of the change.
    pub audit_id: Uuid,
}

impl Job for NotifyTotpEnabled {
    const NAME: &'static str = "totp.notify_enabled";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}

/// Tell a user that the authenticator app is no longer asked for. The circumstances are in the audit row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyTotpDisabled {
    /// The user.
    pub user_id: UserId,
    /// Audit row of the change.
    pub audit_id: Uuid,
}

impl Job for NotifyTotpDisabled {
    const NAME: &'static str = "totp.notify_disabled";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}
