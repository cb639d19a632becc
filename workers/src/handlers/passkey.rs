//! Notices about passkeys, and garbage collection of their challenges.

use serde_json::json;
use shared::{
    audit,
    db::Tx,
    passkey::{self, NotifyPasskeyAdded, NotifyPasskeyCloned, NotifyPasskeyRemoved, SweepPasskeyCeremonies},
    users::{self, UserId},
};
use uuid::Uuid;

use super::{SWEEP_BATCH, phrases};
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the user when, from where and with what a passkey was added. It cannot be switched off.
pub async fn notify_added(ctx: &Context, job: NotifyPasskeyAdded) -> Result<Option<Mail>, JobError> {
    notice(ctx, "passkey/added", job.user_id, job.audit_id).await
}

/// Tells the user that a passkey was removed. It cannot be switched off.
pub async fn notify_removed(ctx: &Context, job: NotifyPasskeyRemoved) -> Result<Option<Mail>, JobError> {
    notice(ctx, "passkey/removed", job.user_id, job.audit_id).await
}

/// Tells the user that a passkey was refused because its counter went back. It cannot be switched off.
pub async fn notify_cloned(ctx: &Context, job: NotifyPasskeyCloned) -> Result<Option<Mail>, JobError> {
    notice(ctx, "passkey/cloned", job.user_id, job.audit_id).await
}

async fn notice(
    ctx: &Context,
    template: &'static str,
    user_id: UserId,
    audit_id: Uuid,
) -> Result<Option<Mail>, JobError> {
    let db = ctx.kernel.db.reader();
    let (Some(user), Some(event)) = (users::find(db, user_id).await?, audit::find(db, audit_id).await?) else {
        return Ok(None);
    };
    let context = json!({
        "name": phrases::name(&user),
        "time_utc": phrases::time_utc(event.at),
        "ip": event.ip.unwrap_or_else(|| "an unknown address".to_owned()),
        "device": phrases::device(event.user_agent.as_deref()),
        "reset_url": phrases::link(&ctx.kernel, "/reset", None),
    });
    Ok(Some(Mail::new(template, &user.email, context).owed()))
}

/// Deletes challenges that nobody answered in time.
pub async fn sweep_ceremonies(ctx: &Context, tx: &Tx, _job: SweepPasskeyCeremonies) -> Result<(), JobError> {
    passkey::sweep(&**tx, ctx.kernel.clock.now(), SWEEP_BATCH).await?;
    Ok(())
}
