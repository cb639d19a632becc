//! What the world is told to prove an address.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::VerificationId;
use crate::jobs::{Job, Queue, Retry};

/// Mail a link and a code to an address that is to be proven. Both are derived by the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendVerification {
    /// The verification.
    pub verification_id: VerificationId,
}

impl Job for SendVerification {
    const NAME: &'static str = "email_verification.send_verification";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Mail;
    const RETRY: Retry = Retry::MAIL;
    const EXPIRES: Option<Duration> = Some(Duration::from_hours(24));
}

/// Delete verifications whose link expired more than a week ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepVerifications {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
}

impl Job for SweepVerifications {
    const NAME: &'static str = "email_verification.sweep_verifications";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.window.to_string())
    }
}
