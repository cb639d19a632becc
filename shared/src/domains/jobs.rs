//! What the world is told about domains, and what is checked without a request.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::DomainId;
use crate::{
    jobs::{Job, Queue, Retry},
    orgs::OrgId,
    users::UserId,
};

/// Tell one who manages an organization that the proof of a domain is gone. The circumstances are in the audit row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyProofLost {
    /// Whom to tell.
    pub user_id: UserId,
    /// Whose domain it is.
    pub organization_id: OrgId,
    /// The domain.
    pub domain_id: DomainId,
    /// Audit row of the loss.
    pub audit_id: Uuid,
}

impl Job for NotifyProofLost {
    const NAME: &'static str = "domains.notify_proof_lost";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}

/// Look whether the proofs of domains still stand, a batch at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepProofs {
    /// The schedule's window.
    pub window: i64,
    /// The last domain of the batch before; the nil UUID in the first one.
    pub after_id: DomainId,
}

impl SweepProofs {
    /// The first batch.
    #[must_use]
    pub fn begin(window: i64) -> Self {
        Self { window, after_id: DomainId(Uuid::nil()) }
    }
}

impl Job for SweepProofs {
    const NAME: &'static str = "domains.sweep_proofs";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(format!("{}:{}", self.window, self.after_id))
    }
}
