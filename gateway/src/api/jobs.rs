//! What operators do with jobs over the API; `gatepost jobs` does the same on the command line.
//!
//! A change is one transaction with its audit row. Payloads are not shown: ids of users are nobody's business here.

use poem::{Result, web::Data};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use sea_orm::DbErr;
use serde_json::json;
use shared::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    fault::Fault,
    jobs::{
        JobId, JobState,
        operate::{self, Filter},
        problems::{JOB_NOT_FOUND, JOB_NOT_RETRYABLE},
    },
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Tag;
use crate::{paging, problem::problem, security::InstanceAdmin, state::AppState};

/// One job: work that a request caused and that tells the world about it.
#[derive(Debug, Object)]
pub struct Job {
    /// Id; mails carry it in their `Message-ID`.
    pub id: Uuid,
    /// What it does, such as `recovery.send_reset_link`.
    pub name: String,
    /// The queue whose workers run it: `mail`, `notify`, `sweep` or `identify`.
    pub queue: String,
    /// `queued`, `dispatched`, `running` or `retrying` while it is under way; `done`, `dead`, `expired` or `cancelled` at
    /// its end. Further values may be added.
    pub state: String,
    /// How often a worker has taken it.
    pub attempt: i32,
    /// It does not run before this time.
    pub run_at: OffsetDateTime,
    /// When its cause was committed.
    pub created_at: OffsetDateTime,
    /// When it ended.
    #[oai(skip_serializing_if_is_none)]
    pub finished_at: Option<OffsetDateTime>,
    /// Why the last attempt failed.
    #[oai(skip_serializing_if_is_none)]
    pub last_error: Option<String>,
}

/// A page of jobs, newest first.
#[derive(Debug, Object)]
pub struct JobPage {
    /// The jobs.
    pub items: Vec<Job>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    pub next_cursor: Option<String>,
}

/// A state to filter by.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
pub enum JobStateFilter {
    /// Waits to be handed to the broker.
    Queued,
    /// The broker has it.
    Dispatched,
    /// A worker has it.
    Running,
    /// Failed, and will be tried again.
    Retrying,
    /// Its effect has happened.
    Done,
    /// Given up.
    Dead,
    /// Its purpose was over before it ran.
    Expired,
    /// Called off.
    Cancelled,
}

impl From<JobStateFilter> for JobState {
    fn from(filter: JobStateFilter) -> Self {
        match filter {
            JobStateFilter::Queued => Self::Queued,
            JobStateFilter::Dispatched => Self::Dispatched,
            JobStateFilter::Running => Self::Running,
            JobStateFilter::Retrying => Self::Retrying,
            JobStateFilter::Done => Self::Done,
            JobStateFilter::Dead => Self::Dead,
            JobStateFilter::Expired => Self::Expired,
            JobStateFilter::Cancelled => Self::Cancelled,
        }
    }
}

/// The job as clients see it. The row's type has no name outside of its slice.
macro_rules! job {
    ($row:expr) => {{
        let row = $row;
        Job {
            id: row.id.0,
            name: row.name,
            queue: row.queue,
            state: row.state.as_str().to_owned(),
            attempt: row.attempt,
            run_at: row.run_at.to_utc(),
            created_at: row.created_at.to_utc(),
            finished_at: row.finished_at.map(|at| at.to_utc()),
            last_error: row.last_error,
        }
    }};
}

#[derive(Clone, Copy)]
enum Change {
    Retry,
    Cancel,
}

impl Change {
    const fn action(self) -> &'static str {
        match self {
            Self::Retry => "jobs.retry",
            Self::Cancel => "jobs.cancel",
        }
    }
}

/// Operations of instance administrators on jobs.
pub struct JobsApi;

#[OpenApi(prefix_path = "/api/jobs", tag = "Tag::Jobs")]
impl JobsApi {
    /// List jobs
    ///
    /// The newest first. Finished jobs are deleted after `jobs.keep_finished_seconds`.
    #[oai(path = "/", method = "get", operation_id = "listJobs")]
    #[expect(clippy::too_many_arguments, reason = "each is one parameter of the query")]
    async fn list(
        &self,
        _admin: InstanceAdmin,
        state: Data<&AppState>,
        /// Only jobs in this state.
        #[oai(name = "state")]
        job_state: Query<Option<JobStateFilter>>,
        /// Only jobs with this name, such as `recovery.send_reset_link`.
        name: Query<Option<String>>,
        /// Only jobs of this queue.
        queue: Query<Option<String>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many jobs a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> Result<Json<JobPage>> {
        let filter = Filter {
            state: job_state.0.map(Into::into),
            queue: queue.0,
            name: name.0,
            before: paging::position(cursor.0.as_deref())?,
        };
        let db = state.kernel.db.reader();
        let rows = operate::list(db, &filter, paging::rows_to_read(limit.0)).await.map_err(problem)?;
        let (rows, next_cursor) = paging::cut(rows, limit.0, |row| row.id.to_string());
        Ok(Json(JobPage { items: rows.into_iter().map(|row| job!(row)).collect(), next_cursor }))
    }

    /// Show a job
    ///
    /// A finished job is not found any more after `jobs.keep_finished_seconds`.
    #[oai(path = "/:job_id", method = "get", operation_id = "getJob")]
    async fn get(&self, _admin: InstanceAdmin, state: Data<&AppState>, job_id: Path<Uuid>) -> Result<Json<Job>> {
        let row = operate::find(state.kernel.db.reader(), JobId(job_id.0)).await.map_err(problem)?;
        let row = row.ok_or_else(|| problem(Fault::of(&JOB_NOT_FOUND)))?;
        Ok(Json(job!(row)))
    }

    /// Retry a job
    ///
    /// Puts a dead or cancelled job back in line with a fresh count of attempts, unless its purpose is over.
    #[oai(path = "/:job_id/retry", method = "post", operation_id = "retryJob")]
    async fn retry(
        &self,
        admin: InstanceAdmin,
        state: Data<&AppState>,
        client: Data<&Client>,
        job_id: Path<Uuid>,
    ) -> Result<Json<Job>> {
        change(&state, &admin, &client, (job_id.0, Change::Retry)).await
    }

    /// Cancel a job
    ///
    /// Calls a job off that is waiting. One that is running is not interrupted.
    #[oai(path = "/:job_id/cancel", method = "post", operation_id = "cancelJob")]
    async fn cancel(
        &self,
        admin: InstanceAdmin,
        state: Data<&AppState>,
        client: Data<&Client>,
        job_id: Path<Uuid>,
    ) -> Result<Json<Job>> {
        change(&state, &admin, &client, (job_id.0, Change::Cancel)).await
    }
}

async fn change(
    state: &AppState,
    admin: &InstanceAdmin,
    client: &Client,
    (id, change): (Uuid, Change),
) -> Result<Json<Job>> {
    let (kernel, id) = (&state.kernel, JobId(id));
    let tx = kernel.db.write_tx().await.map_err(problem)?;
    let now = kernel.clock.now();
    if operate::find(&*tx, id).await.map_err(problem)?.is_none() {
        return Err(problem(Fault::of(&JOB_NOT_FOUND)));
    }
    let changed = match change {
        Change::Retry => operate::retry(&*tx, id, now).await,
        Change::Cancel => operate::cancel(&*tx, id, now).await,
    };
    if !changed.map_err(problem)? {
        return Err(problem(Fault::of(&JOB_NOT_RETRYABLE)));
    }
    let event = AuditEvent {
        action: change.action(),
        outcome: Outcome::Success,
        user_id: Some(admin.0.user.id.0),
        client: Some(client),
        detail: json!({ "job_id": id }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await.map_err(problem)?;
    let row = operate::find(&*tx, id).await.map_err(problem)?;
    let row = row.ok_or_else(|| problem(DbErr::RecordNotUpdated))?;
    tx.commit().await.map_err(problem)?;
    kernel.db.wake_relay();
    Ok(Json(job!(row)))
}
