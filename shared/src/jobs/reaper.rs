//! The reaper: finds jobs that were left behind and puts them back in line.
//!
//! It runs under the leader's lease every few seconds. A running job whose lease ended was in a process that died or
//! stalled: it is retried, or dead when its attempts are used up. A job that stayed `dispatched` too long was in a queue
//! that was purged, deleted or lost, or that only moves slowly: it is queued again, after ever longer times.

use std::time::Duration;

use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait},
};

use super::{
    JobState, Retry,
    entity::{Column, Entity, Model},
    lease,
    receipts::{Claim, Ending, finish},
};
use crate::{clock::Timestamp, kernel::Kernel};

/// Rows one pass takes.
const BATCH: u64 = 500;

/// What one pass put back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Jobs whose worker vanished.
    pub abandoned: u64,
    /// Jobs whose message vanished.
    pub undelivered: u64,
    /// Jobs whose purpose ended while they waited.
    pub expired: u64,
}

/// Puts back what was left behind. `retry_of` gives the policy of a job by name.
///
/// # Errors
/// When the database fails.
pub async fn pass(kernel: &Kernel, retry_of: impl Fn(&str) -> Retry) -> Result<Reaped, DbErr> {
    let now = kernel.clock.now();
    let tx = kernel.db.write_tx().await?;
    let mut reaped = Reaped { expired: expire(&*tx, now).await?, ..Reaped::default() };
    for job in abandoned(&*tx, now).await? {
        let retry = retry_of(&job.name);
        let claim = Claim {
            id: job.id,
            name: job.name,
            version: 0,
            payload: String::new(),
            attempt: u16::try_from(job.attempt).unwrap_or(u16::MAX),
            fence: job.fence,
            expires_at: job.expires_at,
            created_at: job.created_at,
            traceparent: None,
        };
        let reason = "the worker that held it vanished".to_owned();
        let ending = Ending::after_failure(retry, &claim, now, reason);
        reaped.abandoned += u64::from(finish(&*tx, &claim, now, &ending).await?);
    }
    let patience = Duration::from_secs(kernel.config.jobs.redispatch_seconds);
    reaped.undelivered = redispatch(&*tx, now - patience).await?;
    tx.commit().await?;
    if reaped.abandoned + reaped.undelivered > 0 {
        tracing::info!(abandoned = reaped.abandoned, undelivered = reaped.undelivered, "jobs were put back in line");
        kernel.db.wake_relay();
    }
    Ok(reaped)
}

async fn abandoned<C: ConnectionTrait>(db: &C, now: Timestamp) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(JobState::any_of(&[JobState::Running]))
        .filter(Column::LeaseUntil.lt(now))
        .order_by_asc(Column::LeaseUntil)
        .limit(BATCH)
        .all(db)
        .await
}

/// Queues again what was dispatched before `stale`. Each time it waits longer, by the time that the job has waited
/// already, so that a queue which only moves slowly is not filled with copies.
async fn redispatch<C: ConnectionTrait>(db: &C, stale: Timestamp) -> Result<u64, DbErr> {
    let waited = Expr::col(Column::DispatchedAt).sub(Expr::col(Column::RunAt));
    let result = Entity::update_many()
        .col_expr(Column::State, Expr::value(JobState::Queued.to_value()))
        .filter(JobState::any_of(&[JobState::Dispatched]))
        .filter(Column::DispatchedAt.lt(stale))
        .filter(Expr::col(Column::DispatchedAt).add(waited).lt(stale))
        .exec(db)
        .await?;
    Ok(result.rows_affected)
}

/// Ends waiting jobs whose purpose is over, so that they are visible as expired even while no worker runs.
async fn expire<C: ConnectionTrait>(db: &C, now: Timestamp) -> Result<u64, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::State, Expr::value(JobState::Expired.to_value()))
        .col_expr(Column::FinishedAt, Expr::value(now))
        .filter(JobState::any_of(&[JobState::Queued, JobState::Dispatched, JobState::Retrying]))
        .filter(Column::ExpiresAt.lte(now))
        .exec(db)
        .await?;
    Ok(result.rows_affected)
}

/// Puts back everything that the in-process broker of a killed process held: its messages are gone with it, and nobody
/// else runs its jobs. Called once at the start of a process that has such a broker.
///
/// # Errors
/// When the database fails.
pub async fn after_restart(kernel: &Kernel) -> Result<(), DbErr> {
    let tx = kernel.db.write_tx().await?;
    Entity::update_many()
        .col_expr(Column::State, Expr::value(JobState::Queued.to_value()))
        .filter(JobState::any_of(&[JobState::Dispatched]))
        .exec(&*tx)
        .await?;
    Entity::update_many()
        .col_expr(Column::LeaseUntil, Expr::value(Timestamp(0)))
        .filter(JobState::any_of(&[JobState::Running]))
        .exec(&*tx)
        .await?;
    lease::end_all(&*tx).await?;
    tx.commit().await
}

/// Hands a job out again at once, because the broker reported that it gave up on its message.
///
/// # Errors
/// When the database fails.
pub async fn undeliverable(kernel: &Kernel, id: super::JobId) -> Result<(), DbErr> {
    let tx = kernel.db.write_tx().await?;
    Entity::update_many()
        .col_expr(Column::State, Expr::value(JobState::Queued.to_value()))
        .filter(Column::Id.eq(id))
        .filter(JobState::any_of(&[JobState::Dispatched]))
        .exec(&*tx)
        .await?;
    tx.commit().await?;
    kernel.db.wake_relay();
    Ok(())
}
