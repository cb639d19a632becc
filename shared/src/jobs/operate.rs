//! What operators do with jobs: list, show, retry, cancel, and read the queues' depth and age.

use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, Statement,
    sea_query::{Expr, ExprTrait},
};

use super::{
    JobId, JobState,
    entity::{Column, Entity, Model},
};
use crate::clock::Timestamp;

/// What the index on states is of, as it names them: SQLite uses a partial index only for a query that has its condition,
/// and without it reads all jobs that ever ended to find the few that have not.
const INDEXED: [JobState; 5] =
    [JobState::Queued, JobState::Dispatched, JobState::Running, JobState::Retrying, JobState::Dead];

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<JobState>,
    /// Of this queue.
    pub queue: Option<String>,
    /// With this wire name.
    pub name: Option<String>,
    /// Older than this job.
    pub before: Option<JobId>,
}

/// The newest jobs first.
///
/// # Errors
/// When the database fails.
pub async fn list<C: ConnectionTrait>(db: &C, filter: &Filter, limit: u64) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find();
    if let Some(state) = filter.state {
        query = query.filter(JobState::any_of(&[state]));
        if INDEXED.contains(&state) {
            query = query.filter(JobState::any_of(&INDEXED));
        }
    }
    if let Some(queue) = &filter.queue {
        query = query.filter(Column::Queue.eq(queue.as_str()));
    }
    if let Some(name) = &filter.name {
        query = query.filter(Column::Name.eq(name.as_str()));
    }
    if let Some(before) = filter.before {
        query = query.filter(Column::Id.lt(before));
    }
    query.order_by_desc(Column::Id).limit(limit).all(db).await
}

/// One job.
///
/// # Errors
/// When the database fails.
pub async fn find<C: ConnectionTrait>(db: &C, id: JobId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// Puts a dead or cancelled job back in line with a fresh count of attempts. False when it is in another state or its
/// purpose is over.
///
/// # Errors
/// When the database fails.
pub async fn retry<C: ConnectionTrait>(db: &C, id: JobId, now: Timestamp) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::State, Expr::value(JobState::Queued.to_value()))
        .col_expr(Column::Attempt, Expr::value(0))
        .col_expr(Column::RunAt, Expr::value(now))
        .col_expr(Column::FinishedAt, Expr::value(Option::<Timestamp>::None))
        .filter(Column::Id.eq(id))
        .filter(JobState::any_of(&[JobState::Dead, JobState::Cancelled]))
        .filter(Column::ExpiresAt.is_null().or(Column::ExpiresAt.gt(now)))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Calls a waiting job off. False when it is running or has ended.
///
/// # Errors
/// When the database fails.
pub async fn cancel<C: ConnectionTrait>(db: &C, id: JobId, now: Timestamp) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::State, Expr::value(JobState::Cancelled.to_value()))
        .col_expr(Column::FinishedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(JobState::any_of(&[JobState::Queued, JobState::Dispatched, JobState::Retrying]))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// One line of the queues' state.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Depth {
    /// Queue.
    pub queue: String,
    /// State.
    pub state: String,
    /// How many jobs.
    pub jobs: i64,
    /// When the oldest of them became due.
    pub oldest: i64,
}

/// Unfinished and dead jobs per queue and state.
///
/// # Errors
/// When the database fails.
pub async fn depths<C: ConnectionTrait>(db: &C) -> Result<Vec<Depth>, DbErr> {
    Depth::find_by_statement(Statement::from_string(
        db.get_database_backend(),
        "SELECT queue, state, COUNT(*) AS jobs, MIN(run_at) AS oldest FROM jobs
         WHERE state IN ('queued', 'dispatched', 'running', 'retrying', 'dead') GROUP BY queue, state",
    ))
    .all(db)
    .await
}
