//! Jobs: work that a committed fact causes and that tells the world about it.
//!
//! ```text
//! request ── tx: cause + row in `jobs` ── commit ── wake
//!                                                    │
//!     relay  ◄───────────────────────────────────────┘  due rows → broker, confirmed → `dispatched`
//!     worker: claim (attempt+1, fence+1, lease) → handler → effect + `done` in one transaction → ack
//!     reaper: lease expired → retrying | dead          dispatched too long → queued
//!
//! queued → dispatched → running → done | retrying | dead | expired | cancelled
//!    ▲                               │
//!    └───────────── run_at ◄─────────┘
//! ```
//!
//! One table is outbox, state machine and dead-letter list. The broker only distributes work: purge it, delete it or
//! wipe its disk, and every unfinished job is still in the table. A message carries the job's id, never its payload.
//!
//! Reading order: [`Job`], [`enqueue`], [`relay`], [`receipts`], [`reaper`], [`operate`].

mod catalog;
mod config;
mod entity;
mod job;
pub mod lease;
pub mod operate;
mod outbox;
pub mod reaper;
pub mod receipts;
pub mod relay;
pub mod sweep;

pub use catalog::{CatalogEntry, entry};
pub use config::JobsConfig;
pub use entity::{JobId, JobState};
pub use job::{Job, Queue, Retry};
pub use outbox::{enqueue, enqueue_at};

/// Problems of the jobs API.
pub mod problems {
    use crate::fault::ProblemKind;

    /// The job is in a state that this operation does not apply to.
    pub const JOB_NOT_RETRYABLE: ProblemKind = ProblemKind {
        code: "job_state_conflict",
        status: 409,
        title: "The job is not in a state that allows this",
        help: "Only dead or cancelled jobs whose purpose is not over can be retried; only unfinished jobs that are not running can be cancelled.",
    };

    /// There is no such job.
    pub const JOB_NOT_FOUND: ProblemKind = ProblemKind {
        code: "job_not_found",
        status: 404,
        title: "No such job",
        help: "The id is unknown, or the finished job has been deleted after the retention time.",
    };

    /// The kinds of this module.
    pub const PROBLEMS: &[&ProblemKind] = &[&JOB_NOT_RETRYABLE, &JOB_NOT_FOUND];
}
