//! The worker's side of a job's life: claim it, and record how the attempt ended.
//!
//! A claim is one conditional update. No row means that the message is a duplicate, is early, or that another worker
//! holds the job: acknowledge and drop. Every record of an ending is guarded by the fence of the claim, so a worker that
//! slept through its lease cannot overwrite what its successor did.

use std::time::Duration;

use sea_orm::{
    ActiveEnum, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait},
};

use super::{
    JobId, JobState, Retry,
    entity::{Column, Entity, Model},
};
use crate::clock::Timestamp;

/// A job that this worker may run until its lease ends.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The job.
    pub id: JobId,
    /// Wire name.
    pub name: String,
    /// Payload version.
    pub version: u16,
    /// JSON payload.
    pub payload: String,
    /// This attempt, counted from 1.
    pub attempt: u16,
    /// Guards every record of this attempt.
    pub fence: i64,
    /// When the purpose is over.
    pub expires_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// W3C trace context of its cause.
    pub traceparent: Option<String>,
}

/// Tries to take jobs for `lease`, in one statement; what is not among the claims was not to be had.
///
/// # Errors
/// When the database fails; the messages should then go back to the broker.
pub async fn claim<C: ConnectionTrait>(
    db: &C,
    ids: &[JobId],
    owner: &str,
    now: Timestamp,
    lease: Duration,
) -> Result<Vec<Claim>, DbErr> {
    let may_run = Condition::any()
        .add(JobState::any_of(&[JobState::Dispatched]))
        .add(JobState::any_of(&[JobState::Queued, JobState::Retrying]).and(Column::RunAt.lte(now)));
    let claimed = Entity::update_many()
        .col_expr(Column::State, Expr::value(JobState::Running.to_value()))
        .col_expr(Column::Attempt, Expr::col(Column::Attempt).add(1))
        .col_expr(Column::Fence, Expr::col(Column::Fence).add(1))
        .col_expr(Column::LeaseOwner, Expr::value(owner))
        .col_expr(Column::LeaseUntil, Expr::value(now + lease))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .filter(may_run)
        .exec_with_returning(db)
        .await?;
    Ok(claimed.into_iter().map(to_claim).collect())
}

fn to_claim(job: Model) -> Claim {
    Claim {
        id: job.id,
        name: job.name,
        version: u16::try_from(job.version).unwrap_or(u16::MAX),
        payload: job.payload,
        attempt: u16::try_from(job.attempt).unwrap_or(u16::MAX),
        fence: job.fence,
        expires_at: job.expires_at,
        created_at: job.created_at,
        traceparent: job.traceparent,
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its effect has happened.
    Done,
    /// Its purpose was over.
    Expired,
    /// Its cause went away.
    Cancelled,
    /// Try again after this time.
    Retrying(Duration, String),
    /// Give up.
    Dead(String),
    /// It was not an attempt at all: the configuration or a dependency is at fault. Back in the queue after this time.
    Released(Duration, String),
}

impl Ending {
    /// What follows from a failed attempt: another one while attempts and validity last.
    #[must_use]
    pub fn after_failure(retry: Retry, claim: &Claim, now: Timestamp, error: String) -> Self {
        if claim.attempt >= retry.attempts {
            return Self::Dead(error);
        }
        let delay = retry.delay(claim.attempt);
        if claim.expires_at.is_some_and(|expires_at| expires_at <= now + delay) {
            return if claim.expires_at.is_some_and(|at| at <= now) {
                Self::Expired
            } else {
                // One last try just before the purpose is over.
                Self::Retrying(claim.expires_at.map_or(delay, |at| at.since(now) / 2), error)
            };
        }
        Self::Retrying(delay, error)
    }

    /// Its name in metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Retrying(..) => "retrying",
            Self::Dead(_) => "dead",
            Self::Released(..) => "released",
        }
    }
}

/// Records how an attempt ended. Returns false when the fence has moved on: the effect of this attempt must then not
/// commit either.
///
/// # Errors
/// When the database fails.
pub async fn finish<C: ConnectionTrait>(db: &C, claim: &Claim, now: Timestamp, ending: &Ending) -> Result<bool, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::LeaseOwner, Expr::value(Option::<String>::None))
        .col_expr(Column::LeaseUntil, Expr::value(Option::<Timestamp>::None));
    let ended = |state: JobState, error: Option<&String>| {
        update
            .clone()
            .col_expr(Column::State, Expr::value(state.to_value()))
            .col_expr(Column::FinishedAt, Expr::value(now))
            .col_expr(Column::LastError, Expr::value(error.map(|text| shorten(text))))
    };
    let waiting = |state: JobState, delay: Duration, error: &str| {
        update
            .clone()
            .col_expr(Column::State, Expr::value(state.to_value()))
            .col_expr(Column::RunAt, Expr::value(now + delay))
            .col_expr(Column::LastError, Expr::value(shorten(error)))
    };
    let statement = match ending {
        Ending::Done => ended(JobState::Done, None),
        Ending::Expired => ended(JobState::Expired, None),
        Ending::Cancelled => ended(JobState::Cancelled, None),
        Ending::Dead(error) => ended(JobState::Dead, Some(error)),
        Ending::Retrying(delay, error) => waiting(JobState::Retrying, *delay, error),
        Ending::Released(delay, error) => {
            waiting(JobState::Queued, *delay, error).col_expr(Column::Attempt, Expr::col(Column::Attempt).sub(1))
        }
    };
    let result = statement
        .filter(Column::Id.eq(claim.id))
        .filter(Column::Fence.eq(claim.fence))
        .filter(JobState::any_of(&[JobState::Running]))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

fn shorten(error: &str) -> String {
    error.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    fn claim(attempt: u16, expires_at: Option<Timestamp>) -> Claim {
        Claim {
            id: JobId::next(),
            name: "x.y".into(),
            version: 1,
            payload: "{}".into(),
            attempt,
            fence: 1,
            expires_at,
            created_at: SystemClock.now(),
            traceparent: None,
        }
    }

    #[test]
    fn the_last_attempt_is_dead_and_never_retried() {
        let ending = Ending::after_failure(Retry::SWEEP, &claim(5, None), SystemClock.now(), "no".into());
        assert_eq!(ending, Ending::Dead("no".into()));
    }

    #[test]
    fn a_retry_is_never_planned_after_the_purpose_is_over() {
        let now = SystemClock.now();
        for left in [1_u64, 5, 30] {
            let expires_at = now + Duration::from_secs(left);
            let ending = Ending::after_failure(Retry::MAIL, &claim(9, Some(expires_at)), now, "no".into());
            let Ending::Retrying(delay, _) = ending else { panic!("{ending:?}") };
            assert!(now + delay < expires_at);
        }
        let over = Ending::after_failure(Retry::MAIL, &claim(2, Some(now)), now, "no".into());
        assert_eq!(over, Ending::Expired);
    }
}
