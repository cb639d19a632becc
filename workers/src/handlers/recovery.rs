//! Mails and garbage collection of a recovery.

use serde_json::json;
use shared::{
    db::Tx,
    recovery::{self, SendResetLink, SweepResets},
};

use super::{RETENTION, SWEEP_BATCH, phrases};
use crate::{context::Context, mail::Mail, registry::JobError};

/// Mails the link of a reset request; nothing for nobody's address or a link that is no longer good.
pub async fn send_reset_link(ctx: &Context, job: SendResetLink) -> Result<Option<Mail>, JobError> {
    let found = recovery::reset_mail(&ctx.kernel, job.reset_id).await?;
    Ok(found.map(|mail| {
        let context = json!({
            "name": phrases::name(&mail.user),
            "link": phrases::link(&ctx.kernel, "/reset", Some(&mail.token)),
            "expires_hours": ctx.kernel.config.recovery.link_seconds / 3600,
            "providers": mail.providers.join(" or "),
        });
        Mail::new("recovery/reset_link", &mail.user.email, context)
    }))
}

/// Deletes requests that expired long ago.
pub async fn sweep_resets(ctx: &Context, tx: &Tx, _job: SweepResets) -> Result<(), JobError> {
    recovery::sweep(&**tx, ctx.kernel.clock.now() - RETENTION, SWEEP_BATCH).await?;
    Ok(())
}
