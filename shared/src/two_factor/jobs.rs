//! What the world is told about second factors.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    jobs::{Job, Queue, Retry},
    users::UserId,
};

/// Tell a user that passkeys are a second factor from now on, or no longer. The circumstances are in the audit row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyTwoFactorPasskeys {
    /// The user.
    pub user_id: UserId,
    /// Audit row of the change.
    pub audit_id: Uuid,
    /// Whether they are one.
    pub is_enabled: bool,
}

impl Job for NotifyTwoFactorPasskeys {
    const NAME: &'static str = "two_factor.notify_passkeys";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}
