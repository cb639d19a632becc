//! What is left to do after a deletion.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    jobs::{Job, Queue, Retry},
    projects::ProjectId,
};

/// Remove the rows of a project that was deleted; with the last one of a deleted organization also the organization's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeProject {
    /// The project.
    pub project_id: ProjectId,
}

impl Job for PurgeProject {
    const NAME: &'static str = "deletion.purge_project";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::NOTICE;
    const EXPIRES: Option<Duration> = None;
}
