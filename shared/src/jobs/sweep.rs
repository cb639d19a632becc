//! Garbage collection of finished jobs.

use std::time::Duration;

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, sea_query::ExprTrait as _};
use serde::{Deserialize, Serialize};

use super::{
    Job, JobState, Queue, Retry,
    entity::{Column, Entity},
};
use crate::{clock::Timestamp, db};

/// Delete finished jobs that are older than the configured time. Dead jobs stay: an operator decides about them.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct SweepFinishedJobs {
    /// The schedule's window, which makes one job per window.
    pub window: i64,
}

impl Job for SweepFinishedJobs {
    const NAME: &'static str = "jobs.sweep_finished";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Sweep;
    const RETRY: Retry = Retry::SWEEP;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.window.to_string())
    }
}

/// Deletes up to `batch` jobs that ended before `before`; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn finished<C: ConnectionTrait>(db: &C, before: Timestamp, batch: u64) -> Result<u64, DbErr> {
    let is_old =
        JobState::any_of(&[JobState::Done, JobState::Expired, JobState::Cancelled]).and(Column::FinishedAt.lt(before));
    db::sweep(db, Entity, Column::FinishedAt, is_old, batch).await
}
