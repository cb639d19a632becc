//! What the world is told about authenticator apps, and scheduled work.

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

/// Seal the secrets of older keys with the key that signs now, a batch at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResealSecrets {
    /// The schedule's window, or a number of its own for a run that an operator asks for.
    pub window: i64,
    /// The last user of the batch before; the nil UUID in the first one.
    pub after_id: UserId,
}

impl ResealSecrets {
    /// The first batch.
    #[must_use]
    pub fn begin(window: i64) -> Self {
        Self { window, after_id: UserId(Uuid::nil()) }
    }
}

impl Job for ResealSecrets {
    const NAME: &'static str = "totp.reseal_secrets";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(format!("{}:{}", self.window, self.after_id))
    }
}
