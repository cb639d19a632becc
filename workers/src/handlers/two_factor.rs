//! The notice that passkeys are a second factor, or no longer.

use serde_json::json;
use shared::{audit, two_factor::NotifyTwoFactorPasskeys, users};

use super::phrases;
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the user what is asked for from now on. It cannot be switched off.
pub async fn notify_passkeys(ctx: &Context, job: NotifyTwoFactorPasskeys) -> Result<Option<Mail>, JobError> {
    let db = ctx.kernel.db.reader();
    let (user, event) = (users::find(db, job.user_id).await?, audit::find(db, job.audit_id).await?);
    let (Some(user), Some(event)) = (user, event) else { return Ok(None) };
    let template = if job.is_enabled { "two_factor/passkeys_on" } else { "two_factor/passkeys_off" };
    let context = json!({
        "name": phrases::name(&user),
        "time_utc": phrases::time_utc(event.at),
        "ip": event.ip.unwrap_or_else(|| "an unknown address".to_owned()),
        "device": phrases::device(event.user_agent.as_deref()),
        "reset_url": phrases::link(&ctx.kernel, "/reset", None),
    });
    Ok(Some(Mail::new(template, &user.email, context).owed()))
}
