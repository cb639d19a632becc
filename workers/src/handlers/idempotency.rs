//! Garbage collection of kept answers.

use shared::{
    db::Tx,
    idempotency::{self, SweepIdempotencyKeys},
};

use super::SWEEP_BATCH;
use crate::{context::Context, registry::JobError};

/// Deletes answers that are too old to be repeated.
pub async fn sweep_keys(ctx: &Context, tx: &Tx, _job: SweepIdempotencyKeys) -> Result<(), JobError> {
    idempotency::sweep(&**tx, ctx.kernel.clock.now(), SWEEP_BATCH).await?;
    Ok(())
}
