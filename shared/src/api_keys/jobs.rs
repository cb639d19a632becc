//! What a user is told about keys, and the scheduled work.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ApiKeyId;
use crate::jobs::{Job, Queue, Retry};

/// Declares notices about a key with the audit row of what happened.
macro_rules! notices {
    ($($(#[$doc:meta])* $job:ident = $name:literal),* $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            pub struct $job {
                /// The key.
                pub api_key_id: ApiKeyId,
                /// Audit row of what happened.
                pub audit_id: Uuid,
            }

            impl Job for $job {
                const NAME: &'static str = $name;
                const VERSION: u16 = 1;
                const QUEUE: Queue = Queue::Notify;
                const RETRY: Retry = Retry::NOTICE;
                const EXPIRES: Option<Duration> = None;
            }
        )*
    };
}

notices! {
    /// Tell a user that a key was created.
    NotifyKeyCreated = "api_keys.notify_created",
    /// Tell a user that a key was not used for so long that it expired.
    NotifyKeyExpired = "api_keys.notify_expired",
    /// Tell a user that a key expires soon unless it is used.
    NotifyKeyExpiring = "api_keys.notify_expiring",
    /// Tell a user that a key was found where it must not be, and is refused now.
    NotifyKeyExposed = "api_keys.notify_exposed",
}

/// Warn of keys that expire soon, and mark those that have. Hygiene only: every use compares the age itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepKeyExpiry {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
    /// Which batch of the window.
    pub step: u32,
}

impl Job for SweepKeyExpiry {
    const NAME: &'static str = "api_keys.sweep_expiry";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(format!("{}.{}", self.window, self.step))
    }
}
