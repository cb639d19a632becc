//! The relay: hands due jobs to the broker and marks them `dispatched`.
//!
//! Any number of relays may run. On PostgreSQL a pass holds its rows with `FOR UPDATE SKIP LOCKED` while it publishes,
//! so relays share the work; on SQLite there is one process, and a pass holds nothing. A crash between publish and mark
//! publishes again: a second message for a claimed or finished job is dropped by the worker. A message that the broker
//! returned, refused or did not confirm in time stays due.

use std::{sync::Arc, time::Duration};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
    sea_query::{Expr, LockBehavior, LockType},
};

use super::{
    JobId, JobState, Queue,
    entity::{Column, Entity, Model},
};
use crate::{
    broker::{Broker, Dispatch},
    chaos,
    clock::Timestamp,
    kernel::Kernel,
    lifecycle::{CancellationToken, Readiness},
    telemetry,
};

/// Name of the relay among the components of a process.
pub const COMPONENT: &str = "relay";

/// Runs the relay until `stopping` is cancelled.
pub async fn run(kernel: Arc<Kernel>, broker: Arc<dyn Broker>, readiness: Readiness, stopping: CancellationToken) {
    // Requests are answered without it: jobs wait in the database.
    readiness.expect_optional(COMPONENT);
    let poll = Duration::from_millis(kernel.config.jobs.poll_milliseconds);
    let mut failures: u32 = 0;
    while !stopping.is_cancelled() {
        let pause = match pass(&kernel, broker.as_ref()).await {
            Ok(Pass { published, refused: 0, full }) => {
                failures = 0;
                readiness.set(COMPONENT, Ok(()));
                metrics::counter!("gatepost_relay_published_total").increment(published);
                if full { Duration::ZERO } else { poll }
            }
            Ok(Pass { refused, .. }) => {
                failures = failures.saturating_add(1);
                metrics::counter!("gatepost_relay_refused_total").increment(refused);
                readiness
                    .set(COMPONENT, Err("the broker does not take messages; jobs wait in the database".to_owned()));
                back_off(failures)
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::warn!(%error, "relay pass failed");
                readiness.set(COMPONENT, Err("the database does not answer".to_owned()));
                back_off(failures)
            }
        };
        if pause.is_zero() {
            continue;
        }
        // A broker that refuses is left alone for the pause even when new jobs arrive.
        let woken =
            async { if failures == 0 { kernel.db.jobs_enqueued().await } else { std::future::pending().await } };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = woken => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn back_off(failures: u32) -> Duration {
    Duration::from_millis(250 << failures.min(4))
}

/// What one pass did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Jobs that are now `dispatched`.
    pub published: u64,
    /// Jobs that the broker did not take.
    pub refused: u64,
    /// Whether there may be more due jobs at once.
    pub full: bool,
}

/// Takes one batch of due jobs of each queue, publishes it and marks what was confirmed. The queues that someone waits for
/// come first, and their rows are let go before the next queue's turn: a million notices never delay a login code.
///
/// # Errors
/// When the database fails; nothing of that queue is marked then, and the messages that went out are duplicates.
pub async fn pass(kernel: &Kernel, broker: &dyn Broker) -> Result<Pass, DbErr> {
    let mut outcome = Pass::default();
    for queue in due_queues(kernel.db.reader(), kernel.clock.now()).await? {
        let of_queue = pass_queue(kernel, broker, queue).await?;
        outcome.published += of_queue.published;
        outcome.refused += of_queue.refused;
        outcome.full |= of_queue.full;
        if of_queue.refused > 0 {
            // A broker that does not take the most urgent ones is not tried with the rest.
            break;
        }
    }
    Ok(outcome)
}

async fn pass_queue(kernel: &Kernel, broker: &dyn Broker, queue: Queue) -> Result<Pass, DbErr> {
    if !kernel.db.is_postgres() {
        let due = due(kernel.db.reader(), kernel, queue, false).await?;
        let (outcome, confirmed) = publish(kernel, broker, due).await;
        // One statement is a transaction of its own.
        mark(kernel.db.writer(), kernel.clock.now(), confirmed).await?;
        return Ok(outcome);
    }
    let tx = kernel.db.write_tx().await?;
    let due = due(&*tx, kernel, queue, true).await?;
    let (outcome, confirmed) = publish(kernel, broker, due).await;
    mark(&*tx, kernel.clock.now(), confirmed).await?;
    tx.commit().await?;
    Ok(outcome)
}

/// Due rows of a queue, the longest due first.
async fn due<C: ConnectionTrait>(db: &C, kernel: &Kernel, queue: Queue, lock: bool) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find()
        .filter(Column::Queue.eq(queue.as_str()))
        .filter(JobState::any_of(&[JobState::Queued, JobState::Retrying]))
        .filter(Column::RunAt.lte(kernel.clock.now()))
        .order_by_asc(Column::RunAt)
        .limit(kernel.config.jobs.relay_batch);
    if lock {
        query = query.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    query.all(db).await
}

/// The queues that have due rows, by one look at the index of each.
async fn due_queues<C: ConnectionTrait>(db: &C, now: Timestamp) -> Result<Vec<Queue>, DbErr> {
    let looks: Vec<String> = Queue::ALL
        .iter()
        .map(|queue| {
            format!(
                "EXISTS (SELECT 1 FROM jobs WHERE queue = '{queue}' AND state IN ('queued', 'retrying') \
                 AND run_at <= $1) AS {queue}"
            )
        })
        .collect();
    let sql = format!("SELECT {}", looks.join(", "));
    let row = db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [now.0.into()])).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("due queues".to_owned()))?;
    let is_due = |queue: &Queue| row.try_get("", queue.as_str());
    let mut due = Vec::new();
    for queue in Queue::ALL {
        if is_due(&queue)? {
            due.push(queue);
        }
    }
    Ok(due)
}

async fn publish(kernel: &Kernel, broker: &dyn Broker, due: Vec<Model>) -> (Pass, Vec<JobId>) {
    let batch: Vec<Dispatch> = due.into_iter().map(to_dispatch).collect();
    let full = u64::try_from(batch.len()).unwrap_or(u64::MAX) >= kernel.config.jobs.relay_batch;
    chaos::point("relay.before_publish");
    let spans: Vec<tracing::Span> = batch.iter().filter_map(span).collect();
    let results = broker.publish(&batch).await;
    drop(spans);
    chaos::point("relay.after_confirm_before_mark");
    let mut pass = Pass { full, ..Pass::default() };
    let mut confirmed = Vec::with_capacity(batch.len());
    for (dispatch, result) in batch.iter().zip(results) {
        match result {
            Ok(()) => {
                pass.published += 1;
                confirmed.push(dispatch.job_id);
            }
            Err(error) => {
                pass.refused += 1;
                tracing::warn!(job_id = %dispatch.job_id, %error, "job was not handed over; it stays due");
            }
        }
    }
    (pass, confirmed)
}

/// The publishing of a job as a part of the trace that caused it, if there is one.
fn span(dispatch: &Dispatch) -> Option<tracing::Span> {
    let traceparent = dispatch.traceparent.as_deref()?;
    let span = tracing::info_span!(parent: None, "relay", job_id = %dispatch.job_id, name = %dispatch.name);
    telemetry::continue_trace(&span, Some(traceparent));
    Some(span)
}

fn to_dispatch(job: Model) -> Dispatch {
    Dispatch {
        job_id: job.id,
        queue: job.queue.parse().ok(),
        name: job.name,
        version: u16::try_from(job.version).unwrap_or(u16::MAX),
        attempt: u16::try_from(job.attempt).unwrap_or(u16::MAX),
        traceparent: job.traceparent,
    }
}

async fn mark<C: ConnectionTrait>(db: &C, now: Timestamp, confirmed: Vec<JobId>) -> Result<(), DbErr> {
    if confirmed.is_empty() {
        return Ok(());
    }
    Entity::update_many()
        .col_expr(Column::State, Expr::value(JobState::Dispatched.as_str()))
        .col_expr(Column::DispatchedAt, Expr::value(now))
        .filter(Column::Id.is_in(confirmed))
        .filter(JobState::any_of(&[JobState::Queued, JobState::Retrying]))
        .exec(db)
        .await
        .map(|_| ())
}
