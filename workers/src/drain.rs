//! Runs all due jobs at once, without a relay and a broker: what a test does instead of waiting.

use std::collections::BTreeSet;

use sea_orm::DbErr;
use shared::{
    clock::Timestamp,
    jobs::{
        JobId, JobState,
        operate::{self, Filter},
    },
    lifecycle::CancellationToken,
};

use crate::{attempt, context::Context, registry::Registry};

/// Rows of one page.
const PAGE: u64 = 500;

/// Runs due jobs, and those that they cause, by the same code as a worker, each once: a retry is for the next call, even
/// if its wait is over already on a slow machine. Jobs that are to run later stay. Returns how many attempts there were.
///
/// # Errors
/// When the database fails.
pub async fn drain(context: &Context, registry: &Registry) -> Result<usize, DbErr> {
    let never = CancellationToken::new();
    let (mut attempts, mut tried) = (0, BTreeSet::new());
    loop {
        let fresh: Vec<JobId> = due(context).await?.into_iter().filter(|id| tried.insert(*id)).collect();
        if fresh.is_empty() {
            return Ok(attempts);
        }
        for id in fresh {
            attempts += usize::from(attempt::run(context, registry, id, &never).await?.is_some());
        }
    }
}

/// Jobs that may be claimed now, the oldest first.
async fn due(context: &Context) -> Result<Vec<JobId>, DbErr> {
    let now = context.kernel.clock.now();
    let mut due: Vec<(Timestamp, JobId)> = Vec::new();
    for state in [JobState::Queued, JobState::Dispatched, JobState::Retrying] {
        let mut filter = Filter { state: Some(state), ..Filter::default() };
        loop {
            let page = operate::list(context.kernel.db.reader(), &filter, PAGE).await?;
            due.extend(page.iter().filter(|job| job.run_at <= now).map(|job| (job.run_at, job.id)));
            filter.before = page.last().map(|job| job.id);
            if filter.before.is_none() {
                break;
            }
        }
    }
    due.sort_unstable();
    Ok(due.into_iter().map(|(_, id)| id).collect())
}
