//! The notice that a password changed.

use serde_json::json;
use shared::{audit, password::NotifyPasswordChanged, users};

use super::phrases;
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the user when, from where and with what their password was changed. It cannot be switched off.
pub async fn notify_changed(ctx: &Context, job: NotifyPasswordChanged) -> Result<Option<Mail>, JobError> {
    let db = ctx.kernel.db.reader();
    let (Some(user), Some(event)) = (users::find(db, job.user_id).await?, audit::find(db, job.audit_id).await?) else {
        return Ok(None);
    };
    let context = json!({
        "name": phrases::name(&user),
        "time_utc": phrases::time_utc(event.at),
        "ip": event.ip.unwrap_or_else(|| "an unknown address".to_owned()),
        "device": phrases::device(event.user_agent.as_deref()),
        "reset_url": phrases::link(&ctx.kernel, "/reset", None),
    });
    Ok(Some(Mail::new("password/changed", &user.email, context).owed()))
}
