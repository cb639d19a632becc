//! What the world is told about invites.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::InviteId;
use crate::{
    jobs::{Job, Queue, Retry},
    orgs::OrgId,
    users::UserId,
};

/// Mail an invite to its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendInvite {
    /// The invite.
    pub invite_id: InviteId,
}

impl Job for SendInvite {
    const NAME: &'static str = "invites.send_invite";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Mail;
    const RETRY: Retry = Retry::MAIL;
    const EXPIRES: Option<Duration> = Some(Duration::from_hours(72));
}

/// Tell one who manages an organization that somebody joined it. The circumstances are in the audit row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyMemberJoined {
    /// Whom to tell.
    pub user_id: UserId,
    /// Where.
    pub organization_id: OrgId,
    /// Who joined.
    pub member_id: UserId,
    /// Audit row of the event.
    pub audit_id: Uuid,
}

impl Job for NotifyMemberJoined {
    const NAME: &'static str = "invites.notify_member_joined";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}

/// Delete invites that have been over for more than a week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepInvites {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
}

impl Job for SweepInvites {
    const NAME: &'static str = "invites.sweep_invites";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.window.to_string())
    }
}
