//! The notice that a backup code was used.

use serde_json::{Value, json};
use shared::backup_codes::NotifyBackupCodeUsed;

use super::notice;
use crate::{context::Context, mail::Mail, registry::JobError};

/// From how many codes on the mail asks for new ones.
const FEW: u64 = 2;

/// Tells the user when, from where and with what a code was used, and how many are left. It cannot be switched off.
pub async fn notify_used(ctx: &Context, job: NotifyBackupCodeUsed) -> Result<Option<Mail>, JobError> {
    notice::about_with(ctx, "backup_codes/used", (job.user_id, job.audit_id), |detail| {
        let left = detail.get("left").and_then(Value::as_u64).unwrap_or_default();
        json!({ "codes_left": left, "few_codes_left": left <= FEW })
    })
    .await
}
