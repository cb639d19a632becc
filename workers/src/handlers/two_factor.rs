//! The notice that passkeys are a second factor, or no longer.

use shared::two_factor::NotifyTwoFactorPasskeys;

use super::notice;
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the user what is asked for from now on. It cannot be switched off.
pub async fn notify_passkeys(ctx: &Context, job: NotifyTwoFactorPasskeys) -> Result<Option<Mail>, JobError> {
    let template = if job.is_enabled { "two_factor/passkeys_on" } else { "two_factor/passkeys_off" };
    notice::about(ctx, template, job.user_id, job.audit_id).await
}
