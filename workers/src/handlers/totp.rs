//! The notices that an authenticator app is in use, or no longer; and the change of keys.

use serde_json::json;
use shared::{
    audit,
    db::Tx,
    totp::{self, NotifyTotpDisabled, NotifyTotpEnabled, ResealSecrets},
    users::{self, UserId},
};
use uuid::Uuid;

use super::phrases;
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the user that an app is asked for from now on. It cannot be switched off.
pub async fn notify_enabled(ctx: &Context, job: NotifyTotpEnabled) -> Result<Option<Mail>, JobError> {
    notice(ctx, "totp/enabled", job.user_id, job.audit_id).await
}

/// Tells the user that the app is no longer asked for. It cannot be switched off.
pub async fn notify_disabled(ctx: &Context, job: NotifyTotpDisabled) -> Result<Option<Mail>, JobError> {
    notice(ctx, "totp/disabled", job.user_id, job.audit_id).await
}

/// Seals a batch of secrets of older keys with the key that signs now.
pub async fn reseal_secrets(ctx: &Context, tx: &Tx, job: ResealSecrets) -> Result<(), JobError> {
    let secrets = totp::reseal(&ctx.kernel, tx, &job).await?;
    if secrets > 0 {
        tracing::info!(secrets, key_id = ctx.kernel.keys.current(), "sealed TOTP secrets with the current key");
    }
    Ok(())
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
