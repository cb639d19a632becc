//! What the world is told about users.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::UserId;
use crate::jobs::{Job, Queue, Retry};

/// Which of the two addresses a notice goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The address that was replaced.
    Old,
    /// The address that is in force now.
    New,
}

/// Tell one of the two addresses that the user's address changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyEmailChanged {
    /// The user.
    pub user_id: UserId,
    /// The verification row that carries both addresses.
    pub verification_id: Uuid,
    /// Which address to tell.
    pub side: Side,
}

impl Job for NotifyEmailChanged {
    const NAME: &'static str = "users.notify_email_changed";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}
