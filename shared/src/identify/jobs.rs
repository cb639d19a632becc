//! What happens to persons after a request has been answered.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    jobs::{Job, Queue, Retry},
    projects::ProjectId,
    users::UserId,
};

/// Persons follow events within moments; a transaction that lost a race is quick to repeat.
const PROMPT: Retry = Retry { attempts: 20, base: Duration::from_millis(100), cap: Duration::from_secs(60) };

/// Make persons what these facts say. Facts that are already applied change nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyFacts {
    /// Whose.
    pub project_id: ProjectId,
    /// Uuids of the facts' events.
    pub fact_ids: Vec<Uuid>,
    /// Whether it was found before that a merge is too large: this job tries it alone, and dies if it still is.
    #[serde(default)]
    pub is_oversized: bool,
}

impl Job for ApplyFacts {
    const NAME: &'static str = "identify.apply_facts";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Identify;
    const RETRY: Retry = PROMPT;
    const EXPIRES: Option<Duration> = None;
}

/// Merge what an anonymous client did before into the user who signed in with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSignIn {
    /// The project that the client captures events for.
    pub project_id: ProjectId,
    /// The session that was opened.
    pub session_id: Uuid,
    /// Who signed in.
    pub user_id: UserId,
    /// What the client called its anonymous user.
    pub anonymous_distinct_id: String,
    /// When.
    pub signed_in_at: Timestamp,
}

impl Job for RecordSignIn {
    const NAME: &'static str = "identify.record_sign_in";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Identify;
    const RETRY: Retry = PROMPT;
    const EXPIRES: Option<Duration> = None;
}

/// Delete the persons of a deleted user in all projects, and let no event bring them back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletePersonsOf {
    /// The user.
    pub user_id: UserId,
}

impl Job for DeletePersonsOf {
    const NAME: &'static str = "identify.delete_persons_of";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Identify;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.user_id.to_string())
    }
}
