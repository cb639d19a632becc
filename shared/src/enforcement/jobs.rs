//! What members are told about a policy.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    jobs::{Job, Queue, Retry},
    orgs::OrgId,
    users::UserId,
};

/// Enqueue the notices for one batch of members, and the next batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyMembers {
    /// The organization.
    pub organization_id: OrgId,
    /// Audit row of the change.
    pub audit_id: Uuid,
    /// The batch begins after this user; nil for the first one.
    pub after_user_id: UserId,
}

impl Job for NotifyMembers {
    const NAME: &'static str = "enforcement.notify_members";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(format!("{}:{}", self.audit_id, self.after_user_id))
    }
}

/// Tell a member that their organization demands a second factor from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyTwoFactorRequired {
    /// The organization.
    pub organization_id: OrgId,
    /// The member.
    pub user_id: UserId,
    /// Audit row of the change.
    pub audit_id: Uuid,
}

impl Job for NotifyTwoFactorRequired {
    const NAME: &'static str = "enforcement.notify_two_factor_required";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(format!("{}:{}", self.audit_id, self.user_id))
    }
}
