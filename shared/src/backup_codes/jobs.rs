//! What the world is told about backup codes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    jobs::{Job, Queue, Retry},
    users::UserId,
};

/// Tell a user that one of their backup codes was used. When, where and how many are left is in the audit row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyBackupCodeUsed {
    /// The user.
    pub user_id: UserId,
    /// Audit row of the use.
    pub audit_id: Uuid,
}

impl Job for NotifyBackupCodeUsed {
    const NAME: &'static str = "backup_codes.notify_used";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}
