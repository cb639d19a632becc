//! What the world is told about passwords.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    jobs::{Job, Queue, Retry},
    users::UserId,
};

/// Tell a user that their password changed. When, from where and with what is in the audit row of the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyPasswordChanged {
    /// The user.
    pub user_id: UserId,
    /// Audit row of the change.
    pub audit_id: Uuid,
}

impl Job for NotifyPasswordChanged {
    const NAME: &'static str = "password.notify_changed";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}
