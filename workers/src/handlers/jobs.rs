//! Jobs of the job system itself.

use std::time::Duration;

use shared::{
    chaos,
    db::Tx,
    jobs::sweep::{self, SweepFinishedJobs},
    mail::SUPPRESSION,
    rate_limit,
};

use super::SWEEP_BATCH;
use crate::{context::Context, mail::ledger, registry::JobError};

/// How far back jobs are looked at that ended while no worker held them. More than the cadence, for missed windows.
const FOLLOWED: Duration = Duration::from_secs(86_400);

/// Deletes finished jobs and their mails' ledger rows after the configured time, and rate limits that restrict nothing.
pub async fn sweep_finished_jobs(context: &Context, tx: &Tx, _: SweepFinishedJobs) -> Result<(), JobError> {
    let kernel = &context.kernel;
    let now = kernel.clock.now();
    let keep = Duration::from_secs(kernel.config.jobs.keep_finished_seconds);
    ledger::follow(tx, now - FOLLOWED).await?;
    chaos::point("sweep.mid_batch");
    let jobs = sweep::finished(&**tx, now - keep, SWEEP_BATCH).await?;
    let mails = ledger::sweep(tx, now - keep.max(SUPPRESSION), SWEEP_BATCH).await?;
    let limits = rate_limit::sweep(&**tx, now, SWEEP_BATCH).await?;
    tracing::debug!(jobs, mails, limits, "swept");
    Ok(())
}
