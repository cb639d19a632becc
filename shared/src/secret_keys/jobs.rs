//! Jobs about secret keys.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::SecretKeyId;
use crate::{
    jobs::{Job, Queue, Retry},
    users::UserId,
};

/// Tell one who manages an organization that a secret key of a project was found where it must not be, and is refused now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifySecretKeyExposed {
    /// Whom to tell.
    pub user_id: UserId,
    /// The key.
    pub secret_key_id: SecretKeyId,
    /// Audit row of the report.
    pub audit_id: Uuid,
}

impl Job for NotifySecretKeyExposed {
    const NAME: &'static str = "secret_keys.notify_exposed";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}
