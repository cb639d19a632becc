//! Garbage collection of pending logins.

use shared::{
    db::Tx,
    login::{self, SweepLogins},
};

use super::{RETENTION, SWEEP_BATCH};
use crate::{context::Context, registry::JobError};

/// Deletes pending logins that expired long ago.
pub async fn sweep_logins(ctx: &Context, tx: &Tx, _job: SweepLogins) -> Result<(), JobError> {
    login::sweep(&**tx, ctx.kernel.clock.now() - RETENTION, SWEEP_BATCH).await?;
    Ok(())
}
