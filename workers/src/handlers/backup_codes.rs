//! The notice that a backup code was used.

use serde_json::{Value, json};
use shared::{audit, backup_codes::NotifyBackupCodeUsed, users};

use super::phrases;
use crate::{context::Context, mail::Mail, registry::JobError};

/// From how many codes on the mail asks for new ones.
const FEW: u64 = 2;

/// Tells the user when, from where and with what a code was used, and how many are left. It cannot be switched off.
pub async fn notify_used(ctx: &Context, job: NotifyBackupCodeUsed) -> Result<Option<Mail>, JobError> {
    let db = ctx.kernel.db.reader();
    let (Some(user), Some(event)) = (users::find(db, job.user_id).await?, audit::find(db, job.audit_id).await?) else {
        return Ok(None);
    };
    let detail: Value = serde_json::from_str(&event.detail).unwrap_or_default();
    let left = detail.get("left").and_then(Value::as_u64).unwrap_or_default();
    let context = json!({
        "name": phrases::name(&user),
        "time_utc": phrases::time_utc(event.at),
        "ip": event.ip.unwrap_or_else(|| "an unknown address".to_owned()),
        "device": phrases::device(event.user_agent.as_deref()),
        "codes_left": left,
        "few_codes_left": left <= FEW,
        "reset_url": phrases::link(&ctx.kernel, "/reset", None),
    });
    Ok(Some(Mail::new("backup_codes/used", &user.email, context).owed()))
}
