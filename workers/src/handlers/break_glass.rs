//! Notices about break-glass codes.

use serde_json::json;
use shared::{
    break_glass::{self, NotifyBreakGlass},
    users::Email,
};

use super::notice;
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells one who manages the organization that a code was made or used. It cannot be switched off.
pub async fn notify(ctx: &Context, job: NotifyBreakGlass) -> Result<Option<Mail>, JobError> {
    let found = break_glass::mail(&ctx.kernel, &job).await?;
    Ok(found.map(|told| {
        let template = if told.is_use { "break_glass/used" } else { "break_glass/created" };
        let actor = Email::parse(&told.actor.email).map(|email| email.masked()).unwrap_or_default();
        notice::mail(
            ctx,
            template,
            (&told.admin, &told.event),
            |_| json!({ "organization": told.organization.name, "actor": actor }),
        )
    }))
}
