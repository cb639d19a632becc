//! The notices of a lockout, and garbage collection of its counts.

use serde_json::{Value, json};
use shared::{
    audit::{self, AuditRow},
    db::Tx,
    lockout::{self, NotifyDisabled, NotifyLocked, SweepLockouts},
    users::{self, User, UserId},
};
use uuid::Uuid;

use super::{SWEEP_BATCH, notice};
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the owner that somebody guesses. It cannot be switched off.
pub async fn notify_locked(ctx: &Context, job: NotifyLocked) -> Result<Option<Mail>, JobError> {
    let found = find(ctx, job.audit_id).await?;
    Ok(found.map(|(user, event)| notice::mail(ctx, "lockout/locked", (&user, &event), authenticator)))
}

/// Tells the owner that a way of signing in is disabled. It cannot be switched off.
pub async fn notify_disabled(ctx: &Context, job: NotifyDisabled) -> Result<Option<Mail>, JobError> {
    let found = find(ctx, job.audit_id).await?;
    Ok(found.map(|(user, event)| notice::mail(ctx, "lockout/disabled", (&user, &event), authenticator)))
}

/// Deletes counts that restrict nothing any more.
pub async fn sweep_lockouts(ctx: &Context, tx: &Tx, _job: SweepLockouts) -> Result<(), JobError> {
    lockout::sweep(&**tx, ctx.kernel.clock.now(), SWEEP_BATCH).await?;
    Ok(())
}

/// The owner and what happened; `None` for an address without an account.
async fn find(ctx: &Context, audit_id: Uuid) -> Result<Option<(User, AuditRow)>, JobError> {
    let db = ctx.kernel.db.reader();
    let Some(event) = audit::find(db, audit_id).await? else { return Ok(None) };
    let Some(user_id) = event.user_id else { return Ok(None) };
    Ok(users::find(db, UserId(user_id)).await?.map(|user| (user, event)))
}

/// What was guessed at.
fn authenticator(detail: &Value) -> Value {
    let authenticator = match detail.get("authenticator").and_then(Value::as_str) {
        Some("email_code") => "codes by mail",
        Some("totp") => "codes of the authenticator app",
        Some("backup_code") => "backup codes",
        Some("passkey") => "passkeys",
        Some(_) | None => "the password",
    };
    json!({ "authenticator": authenticator })
}
