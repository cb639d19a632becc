//! The notices that an address changed.

use serde_json::json;
use shared::{
    email_verification,
    users::{self, Email, NotifyEmailChanged, Side},
};

use super::phrases;
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the old or the new address of the change. It cannot be switched off.
pub async fn notify_email_changed(ctx: &Context, job: NotifyEmailChanged) -> Result<Option<Mail>, JobError> {
    let user = users::find(ctx.kernel.db.reader(), job.user_id).await?;
    let change = email_verification::changed_addresses(&ctx.kernel, job.verification_id).await?;
    let (Some(user), Some(change)) = (user, change) else { return Ok(None) };
    let masked = |address: &str| Email::parse(address).map(|email| email.masked()).unwrap_or_default();
    let context = json!({
        "name": phrases::name(&user),
        "old_masked": masked(&change.old),
        "new_masked": masked(&change.new),
        "time_utc": phrases::time_utc(change.at),
        "which": job.side,
        "reset_url": phrases::link(&ctx.kernel, "/reset", None),
    });
    let to = match job.side {
        Side::Old => &change.old,
        Side::New => &change.new,
    };
    Ok(Some(Mail::new("users/email_changed", to, context).owed()))
}
