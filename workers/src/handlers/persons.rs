//! Garbage collection of events and their warnings.

use std::time::Duration;

use shared::{
    db::Tx,
    jobs::enqueue,
    persons::{self, SweepEvents},
};

use super::SWEEP_BATCH;
use crate::{context::Context, registry::JobError};

/// Batches of one window: more events than can be taken in meanwhile.
const STEPS: u32 = 400;

/// Deletes events and warnings after the configured time, a batch per job. What is left is the next job's.
pub async fn sweep_events(ctx: &Context, tx: &Tx, job: SweepEvents) -> Result<(), JobError> {
    let (now, config) = (ctx.kernel.clock.now(), &ctx.kernel.config.persons);
    let mut most = 0;
    if config.keep_events_seconds > 0 {
        let before = now - Duration::from_secs(config.keep_events_seconds);
        most = persons::sweep_events(&**tx, before, SWEEP_BATCH).await?;
    }
    let keep = Duration::from_secs(config.keep_warnings_seconds);
    most = most.max(persons::sweep_warnings(&**tx, now - keep, SWEEP_BATCH).await?);
    let step = job.step.saturating_add(1);
    if most >= SWEEP_BATCH && step < STEPS {
        enqueue(tx, ctx.kernel.clock.as_ref(), &SweepEvents { window: job.window, step }).await?;
    }
    Ok(())
}
