//! What is left to do after a deletion.

use shared::{
    db::Tx,
    deletion::{self, PurgeProject},
};

use super::SWEEP_BATCH;
use crate::{context::Context, registry::JobError};

/// Removes rows of a project that was deleted, a batch at a time.
pub async fn purge_project(ctx: &Context, tx: &Tx, job: PurgeProject) -> Result<(), JobError> {
    deletion::purge_project(&ctx.kernel, tx, job.project_id, SWEEP_BATCH).await?;
    Ok(())
}
