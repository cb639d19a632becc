//! What the world is told about break-glass codes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    jobs::{Job, Queue, Retry},
    orgs::OrgId,
    users::UserId,
};

/// Tell one who manages an organization that a code was made or used; which of them, and how, is in the audit row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyBreakGlass {
    /// Whom to tell.
    pub user_id: UserId,
    /// Whose code it is.
    pub organization_id: OrgId,
    /// Audit row of the event.
    pub audit_id: Uuid,
}

impl Job for NotifyBreakGlass {
    const NAME: &'static str = "break_glass.notify";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Notify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}
