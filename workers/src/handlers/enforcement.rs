//! Telling members of an organization that it demands a second factor.

use serde_json::json;
use shared::{
    audit,
    db::Tx,
    enforcement::{self, NotifyMembers, NotifyTwoFactorRequired},
};

use super::phrases;
use crate::{context::Context, mail::Mail, registry::JobError};

/// Enqueues the notices of one batch of members, and the next batch.
pub async fn notify_members(ctx: &Context, tx: &Tx, job: NotifyMembers) -> Result<(), JobError> {
    enforcement::tell_members(tx, ctx.kernel.clock.as_ref(), &job).await?;
    Ok(())
}

/// Tells a member what is demanded from now on; nothing when it is demanded no longer. It cannot be switched off.
pub async fn notify_two_factor_required(ctx: &Context, job: NotifyTwoFactorRequired) -> Result<Option<Mail>, JobError> {
    let db = ctx.kernel.db.reader();
    let found = enforcement::required_notice(db, (job.organization_id, job.user_id)).await?;
    let (Some((user, organization)), Some(event)) = (found, audit::find(db, job.audit_id).await?) else {
        return Ok(None);
    };
    let context = json!({
        "name": phrases::name(&user),
        "organization": organization.name,
        "time_utc": phrases::time_utc(event.at),
        "is_email_enough": organization.allows_email_mfa,
    });
    Ok(Some(Mail::new("enforcement/required", &user.email, context).owed()))
}
