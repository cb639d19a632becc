//! What the world is told about passkeys, and scheduled work.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    jobs::{Job, Queue, Retry},
    users::UserId,
};

/// Declares a notice to a user about one audited event.
macro_rules! notice {
    ($(#[$doc:meta])* $job:ident, $name:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $job {
            /// The user.
            pub user_id: UserId,
            /// Audit row of the event: when, from where and with what.
            pub audit_id: Uuid,
        }

        impl Job for $job {
            const NAME: &'static str = $name;
            const VERSION: u16 = 1;
            const QUEUE: Queue = Queue::Notify;
            const RETRY: Retry = Retry::NOTICE;
            const EXPIRES: Option<Duration> = None;
        }
    };
}

notice!(
    /// Tell a user that a passkey was added.
    NotifyPasskeyAdded,
    "passkey.notify_added"
);

notice!(
    /// Tell a user that a passkey was removed.
    NotifyPasskeyRemoved,
    "passkey.notify_removed"
);

notice!(
    /// Tell a user that a passkey was refused because a copy of it seems to be in use.
    NotifyPasskeyCloned,
    "passkey.notify_cloned"
);

/// Delete challenges that nobody answered in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepPasskeyCeremonies {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
}

impl Job for SweepPasskeyCeremonies {
    const NAME: &'static str = "passkey.sweep_ceremonies";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.window.to_string())
    }
}
