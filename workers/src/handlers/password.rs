//! The notice that a password changed.

use shared::password::NotifyPasswordChanged;

use super::notice;
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the user when, from where and with what their password was changed. It cannot be switched off.
pub async fn notify_changed(ctx: &Context, job: NotifyPasswordChanged) -> Result<Option<Mail>, JobError> {
    notice::about(ctx, "password/changed", job.user_id, job.audit_id).await
}
