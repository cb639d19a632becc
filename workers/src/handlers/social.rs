//! Notices about linked identities, and garbage collection of sign-ins that no provider answered.

use serde_json::json;
use shared::{
    db::Tx,
    social::{self, NotifyLinked, NotifyUnlinked, SweepSocialLogins},
    users::UserId,
};
use uuid::Uuid;

use super::{SWEEP_BATCH, notice};
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the user when, from where and with what an identity was linked. It cannot be switched off.
pub async fn notify_linked(ctx: &Context, job: NotifyLinked) -> Result<Option<Mail>, JobError> {
    about(ctx, "social/linked", (job.user_id, job.audit_id)).await
}

/// Tells the user that an identity was unlinked. It cannot be switched off.
pub async fn notify_unlinked(ctx: &Context, job: NotifyUnlinked) -> Result<Option<Mail>, JobError> {
    about(ctx, "social/unlinked", (job.user_id, job.audit_id)).await
}

/// Deletes sign-ins that no provider answered in time.
pub async fn sweep_logins(ctx: &Context, tx: &Tx, _job: SweepSocialLogins) -> Result<(), JobError> {
    social::sweep(&**tx, ctx.kernel.clock.now(), SWEEP_BATCH).await?;
    Ok(())
}

async fn about(ctx: &Context, template: &'static str, event: (UserId, Uuid)) -> Result<Option<Mail>, JobError> {
    let config = &ctx.kernel.config.social;
    let provider = |name: &str| json!({ "provider": config.display_name(name) });
    notice::about_with(ctx, template, event, |detail| provider(detail["provider"].as_str().unwrap_or_default())).await
}
