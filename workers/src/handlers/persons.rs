//! Garbage collection of events and their warnings.

use std::time::Duration;

use shared::{
    db::Tx,
    persons::{self, SweepEvents},
};

use super::SWEEP_BATCH;
use crate::{context::Context, registry::JobError};

/// Deletes events and warnings after the configured time.
pub async fn sweep_events(ctx: &Context, tx: &Tx, _job: SweepEvents) -> Result<(), JobError> {
    let (now, config) = (ctx.kernel.clock.now(), &ctx.kernel.config.persons);
    if config.keep_events_seconds > 0 {
        persons::sweep_events(&**tx, now - Duration::from_secs(config.keep_events_seconds), SWEEP_BATCH).await?;
    }
    let keep = Duration::from_secs(config.keep_warnings_seconds);
    persons::sweep_warnings(&**tx, now - keep, SWEEP_BATCH).await?;
    Ok(())
}
