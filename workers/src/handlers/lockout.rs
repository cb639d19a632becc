//! The notices of a lockout, and garbage collection of its counts.

use serde_json::{Value, json};
use shared::{
    audit::{self, AuditRow},
    db::Tx,
    lockout::{self, NotifyDisabled, NotifyLocked, SweepLockouts},
    users::{self, User, UserId},
};
use uuid::Uuid;

use super::{SWEEP_BATCH, phrases};
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the owner that somebody guesses. It cannot be switched off.
pub async fn notify_locked(ctx: &Context, job: NotifyLocked) -> Result<Option<Mail>, JobError> {
    let found = find(ctx, job.audit_id).await?;
    Ok(found.map(|(user, event)| Mail::new("lockout/locked", &user.email, values(ctx, &user, event)).owed()))
}

/// Tells the owner that a way of signing in is disabled. It cannot be switched off.
pub async fn notify_disabled(ctx: &Context, job: NotifyDisabled) -> Result<Option<Mail>, JobError> {
    let found = find(ctx, job.audit_id).await?;
    Ok(found.map(|(user, event)| Mail::new("lockout/disabled", &user.email, values(ctx, &user, event)).owed()))
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

fn values(ctx: &Context, user: &User, event: AuditRow) -> Value {
    let detail: Value = serde_json::from_str(&event.detail).unwrap_or_default();
    let authenticator = match detail.get("authenticator").and_then(Value::as_str) {
        Some("email_code") => "codes by mail",
        Some("totp") => "codes of the authenticator app",
        Some("backup_code") => "backup codes",
        Some("passkey") => "passkeys",
        Some(_) | None => "the password",
    };
    json!({
        "name": phrases::name(user),
        "authenticator": authenticator,
        "time_utc": phrases::time_utc(event.at),
        "ip": event.ip.unwrap_or_else(|| "an unknown address".to_owned()),
        "device": phrases::device(event.user_agent.as_deref()),
        "reset_url": phrases::link(&ctx.kernel, "/reset", None),
    })
}
