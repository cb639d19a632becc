//! Enqueue: the job's row is written in the transaction of its cause.

use sea_orm::{ActiveValue::Set, DbErr, EntityTrait, sea_query::OnConflict};

use super::{
    Job, JobId, JobState,
    entity::{ActiveModel, Entity},
};
use crate::{
    clock::{Clock, Timestamp},
    db::Tx,
    telemetry,
};

/// Adds a job to the transaction; it exists if and only if the transaction commits. `None` when the job's dedup key is
/// taken: it is not added again.
///
/// # Errors
/// When the payload does not serialise or the database fails.
pub async fn enqueue<J: Job>(tx: &Tx, clock: &dyn Clock, job: &J) -> Result<Option<JobId>, DbErr> {
    enqueue_at(tx, clock.now(), clock.now(), job).await
}

/// Like [`enqueue`], to run at `run_at`.
///
/// # Errors
/// As [`enqueue`].
pub async fn enqueue_at<J: Job>(tx: &Tx, now: Timestamp, run_at: Timestamp, job: &J) -> Result<Option<JobId>, DbErr> {
    let id = JobId::next();
    let payload = serde_json::to_string(job).map_err(|err| DbErr::Custom(format!("job payload: {err}")))?;
    let row = ActiveModel {
        id: Set(id),
        name: Set(J::NAME.to_owned()),
        version: Set(i32::from(J::VERSION)),
        queue: Set(J::QUEUE.as_str().to_owned()),
        payload: Set(payload),
        dedup_key: Set(job.dedup_key().map(|key| format!("{}:{key}", J::NAME))),
        state: Set(JobState::Queued),
        attempt: Set(0),
        run_at: Set(run_at),
        expires_at: Set(J::EXPIRES.map(|validity| run_at + validity)),
        lease_owner: Set(None),
        lease_until: Set(None),
        fence: Set(0),
        last_error: Set(None),
        org_id: Set(None),
        traceparent: Set(telemetry::current_traceparent()),
        created_at: Set(now),
        dispatched_at: Set(None),
        finished_at: Set(None),
    };
    let skip_taken = OnConflict::new().do_nothing().to_owned();
    if Entity::insert(row).on_conflict(skip_taken).exec_without_returning(&**tx).await? == 0 {
        return Ok(None);
    }
    tx.mark_enqueued();
    metrics::counter!("gatepost_jobs_enqueued_total", "queue" => J::QUEUE.as_str()).increment(1);
    Ok(Some(id))
}
