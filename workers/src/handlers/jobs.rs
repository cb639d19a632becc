//! Garbage collection of the job system's own rows.

use std::time::Duration;

use shared::{
    db::Tx,
    jobs::sweep::{self, SweepFinishedJobs},
    rate_limit,
};

use super::SWEEP_BATCH;
use crate::{context::Context, registry::JobError};

/// Deletes finished jobs past their retention, and rate limits that no longer restrict anything.
pub async fn sweep_finished(ctx: &Context, tx: &Tx, _job: SweepFinishedJobs) -> Result<(), JobError> {
    let now = ctx.kernel.clock.now();
    let keep = Duration::from_secs(ctx.kernel.config.jobs.keep_finished_seconds);
    sweep::finished(&**tx, now - keep, SWEEP_BATCH).await?;
    rate_limit::sweep(&**tx, now, SWEEP_BATCH).await?;
    Ok(())
}
