//! The notices that an authenticator app is in use, or no longer; and the change of keys.

use shared::{
    db::Tx,
    totp::{self, NotifyTotpDisabled, NotifyTotpEnabled, ResealSecrets},
};

use super::notice;
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the user that an app is asked for from now on. It cannot be switched off.
pub async fn notify_enabled(ctx: &Context, job: NotifyTotpEnabled) -> Result<Option<Mail>, JobError> {
    notice::about(ctx, "totp/enabled", job.user_id, job.audit_id).await
}

/// Tells the user that the app is no longer asked for. It cannot be switched off.
pub async fn notify_disabled(ctx: &Context, job: NotifyTotpDisabled) -> Result<Option<Mail>, JobError> {
    notice::about(ctx, "totp/disabled", job.user_id, job.audit_id).await
}

/// Seals a batch of secrets of older keys with the key that signs now.
pub async fn reseal_secrets(ctx: &Context, tx: &Tx, job: ResealSecrets) -> Result<(), JobError> {
    let secrets = totp::reseal(&ctx.kernel, tx, &job).await?;
    if secrets > 0 {
        tracing::info!(secrets, key_id = ctx.kernel.keys.current(), "sealed TOTP secrets with the current key");
    }
    Ok(())
}
