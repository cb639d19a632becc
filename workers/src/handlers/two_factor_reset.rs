//! Mails and garbage collection of a reset of second factors.

use serde_json::json;
use shared::{
    db::Tx,
    two_factor_reset::{self, NotifyTwoFactorReset, SendTwoFactorResetLink, SweepTwoFactorResets},
};

use super::{RETENTION, SWEEP_BATCH, notice, phrases};
use crate::{context::Context, mail::Mail, registry::JobError};

/// Mails the link to the user; nothing for a link that is no longer good.
pub async fn send_link(ctx: &Context, job: SendTwoFactorResetLink) -> Result<Option<Mail>, JobError> {
    let found = two_factor_reset::reset_mail(&ctx.kernel, job.reset_id).await?;
    Ok(found.map(|mail| {
        let context = json!({
            "name": phrases::name(&mail.user),
            "link": phrases::link(&ctx.kernel, "/two_factor_reset", Some(&mail.token)),
            "expires_hours": ctx.kernel.config.two_factor_reset.link_seconds / 3600,
        });
        Mail::new("two_factor_reset/link", &mail.user.email, context)
    }))
}

/// Tells the user that their second factors are gone. It cannot be switched off.
pub async fn notify_done(ctx: &Context, job: NotifyTwoFactorReset) -> Result<Option<Mail>, JobError> {
    notice::about(ctx, "two_factor_reset/done", job.user_id, job.audit_id).await
}

/// Deletes requests that expired long ago.
pub async fn sweep_resets(ctx: &Context, tx: &Tx, _job: SweepTwoFactorResets) -> Result<(), JobError> {
    two_factor_reset::sweep(&**tx, ctx.kernel.clock.now() - RETENTION, SWEEP_BATCH).await?;
    Ok(())
}
