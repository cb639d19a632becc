//! Table `jobs`.

use sea_orm::{entity::prelude::*, sea_query::ExprTrait as _};

use crate::clock::Timestamp;

crate::id_type!(
    /// Id of a job; also what the broker carries and what a mail's Message-ID is made of.
    JobId
);

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum JobState {
    /// Waits to be handed to the broker.
    Queued,
    /// The broker has it.
    Dispatched,
    /// A worker holds a lease on it.
    Running,
    /// Failed; handed to the broker again at `run_at`.
    Retrying,
    /// Its effect has happened.
    Done,
    /// Given up; an operator may retry it.
    Dead,
    /// Its purpose was over before it ran.
    Expired,
    /// An operator called it off, or its cause went away.
    Cancelled,
}

impl JobState {
    /// Name as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Dispatched => "dispatched",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// The condition that a job is in one of these, written as constants: the indexes are partial, and a bound value would
    /// have SQLite prepare the statement anew at every execution to see whether one of them applies.
    #[must_use]
    pub fn any_of(states: &[Self]) -> Expr {
        let constants = states.iter().map(|state| Expr::Constant(state.as_str().into()));
        Expr::col((Entity, Column::State)).is_in(constants)
    }

    /// Whether nothing more happens by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Expired | Self::Cancelled)
    }
}

/// One job.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    /// Wire name.
    pub name: String,
    /// Payload version.
    pub version: i32,
    /// Queue.
    pub queue: String,
    /// JSON payload: ids only.
    pub payload: String,
    /// At most one job has this key.
    pub dedup_key: Option<String>,
    /// State.
    pub state: JobState,
    /// Claims so far.
    pub attempt: i32,
    /// Not before.
    pub run_at: Timestamp,
    /// Not after.
    pub expires_at: Option<Timestamp>,
    /// The worker that holds it.
    pub lease_owner: Option<String>,
    /// Until when.
    pub lease_until: Option<Timestamp>,
    /// Grows with every claim; a commit with an old one is refused.
    pub fence: i64,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Organization it belongs to.
    pub org_id: Option<Uuid>,
    /// W3C trace context of its cause.
    pub traceparent: Option<String>,
    /// Created.
    pub created_at: Timestamp,
    /// When the broker got it last.
    pub dispatched_at: Option<Timestamp>,
    /// Reached a final state.
    pub finished_at: Option<Timestamp>,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
