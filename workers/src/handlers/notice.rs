//! Notices about a user's own account: what they say in any case is when something was done, from where and with what.

use serde_json::{Value, json};
use shared::{
    audit::{self, AuditRow},
    users::{self, User, UserId},
};
use uuid::Uuid;

use super::phrases;
use crate::{context::Context, mail::Mail, registry::JobError};

/// The notice of what an audit row records. It cannot be switched off. Nothing when the user or the row is gone.
pub async fn about(
    ctx: &Context,
    template: &'static str,
    user_id: UserId,
    audit_id: Uuid,
) -> Result<Option<Mail>, JobError> {
    about_with(ctx, template, (user_id, audit_id), |_| json!({})).await
}

/// As [`about`], with what only this notice says, read from what the row records.
pub async fn about_with(
    ctx: &Context,
    template: &'static str,
    (user_id, audit_id): (UserId, Uuid),
    further: impl FnOnce(&Value) -> Value,
) -> Result<Option<Mail>, JobError> {
    let db = ctx.kernel.db.reader();
    let (user, event) = (users::find(db, user_id).await?, audit::find(db, audit_id).await?);
    Ok(user.zip(event).map(|(user, event)| mail(ctx, template, (&user, &event), further)))
}

/// The notice to a user of what a row records.
pub fn mail(
    ctx: &Context,
    template: &'static str,
    (user, event): (&User, &AuditRow),
    further: impl FnOnce(&Value) -> Value,
) -> Mail {
    let mut context = json!({
        "name": phrases::name(user),
        "time_utc": phrases::time_utc(event.at),
        "ip": event.ip.as_deref().unwrap_or("an unknown address"),
        "device": phrases::device(event.user_agent.as_deref()),
        "reset_url": phrases::link(&ctx.kernel, "/reset", None),
    });
    let detail = serde_json::from_str(&event.detail).unwrap_or_default();
    if let (Some(members), Value::Object(more)) = (context.as_object_mut(), further(&detail)) {
        members.extend(more);
    }
    Mail::new(template, &user.email, context).owed()
}
