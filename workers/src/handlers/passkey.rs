//! Notices about passkeys, and garbage collection of their challenges.

use shared::{
    db::Tx,
    passkey::{self, NotifyPasskeyAdded, NotifyPasskeyCloned, NotifyPasskeyRemoved, SweepPasskeyCeremonies},
};

use super::{SWEEP_BATCH, notice};
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the user when, from where and with what a passkey was added. It cannot be switched off.
pub async fn notify_added(ctx: &Context, job: NotifyPasskeyAdded) -> Result<Option<Mail>, JobError> {
    notice::about(ctx, "passkey/added", job.user_id, job.audit_id).await
}

/// Tells the user that a passkey was removed. It cannot be switched off.
pub async fn notify_removed(ctx: &Context, job: NotifyPasskeyRemoved) -> Result<Option<Mail>, JobError> {
    notice::about(ctx, "passkey/removed", job.user_id, job.audit_id).await
}

/// Tells the user that a passkey was refused because its counter went back. It cannot be switched off.
pub async fn notify_cloned(ctx: &Context, job: NotifyPasskeyCloned) -> Result<Option<Mail>, JobError> {
    notice::about(ctx, "passkey/cloned", job.user_id, job.audit_id).await
}

/// Deletes challenges that nobody answered in time.
pub async fn sweep_ceremonies(ctx: &Context, tx: &Tx, _job: SweepPasskeyCeremonies) -> Result<(), JobError> {
    passkey::sweep(&**tx, ctx.kernel.clock.now(), SWEEP_BATCH).await?;
    Ok(())
}
