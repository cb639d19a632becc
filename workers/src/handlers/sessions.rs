//! Garbage collection of sessions.

use shared::{
    db::Tx,
    sessions::{self, SweepEndedSessions},
};

use super::{RETENTION, SWEEP_BATCH};
use crate::{context::Context, registry::JobError};

/// Deletes sessions that ended long ago.
pub async fn sweep_ended(ctx: &Context, tx: &Tx, _job: SweepEndedSessions) -> Result<(), JobError> {
    sessions::sweep(&**tx, ctx.kernel.clock.now() - RETENTION, SWEEP_BATCH).await?;
    Ok(())
}
