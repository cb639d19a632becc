//! Notices about personal API keys, and their end after a year without use.

use serde_json::{Value, json};
use shared::{
    api_keys::{
        self, KeyNotice, NotifyKeyCreated, NotifyKeyExpired, NotifyKeyExpiring, NotifyKeyExposed, SweepKeyExpiry,
    },
    db::Tx,
    jobs::enqueue,
};

use super::{notice, phrases};
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the user that a key was created. It cannot be switched off.
pub async fn notify_created(ctx: &Context, job: NotifyKeyCreated) -> Result<Option<Mail>, JobError> {
    let found = api_keys::notice(&ctx.kernel, job.api_key_id, job.audit_id).await?;
    Ok(found.map(|notice| mail(ctx, "api_keys/created", &notice)))
}

/// Tells the user that a key was found where it must not be. It cannot be switched off.
pub async fn notify_exposed(ctx: &Context, job: NotifyKeyExposed) -> Result<Option<Mail>, JobError> {
    let found = api_keys::notice(&ctx.kernel, job.api_key_id, job.audit_id).await?;
    Ok(found.map(|notice| mail(ctx, "api_keys/exposed", &notice)))
}

/// Tells the user that a key expires soon, unless it was used meanwhile.
pub async fn notify_expiring(ctx: &Context, job: NotifyKeyExpiring) -> Result<Option<Mail>, JobError> {
    let found = api_keys::notice(&ctx.kernel, job.api_key_id, job.audit_id).await?;
    let is_used = |notice: &KeyNotice| notice.key.active_at > notice.event.at;
    let wanted = found.filter(|notice| notice.is_held && !is_used(notice) && notice.key.exposed_at.is_none());
    Ok(wanted.map(|notice| mail(ctx, "api_keys/expiring", &notice)))
}

/// Tells the user that a key has expired, unless it was rolled meanwhile.
pub async fn notify_expired(ctx: &Context, job: NotifyKeyExpired) -> Result<Option<Mail>, JobError> {
    let found = api_keys::notice(&ctx.kernel, job.api_key_id, job.audit_id).await?;
    let wanted = found.filter(|notice| notice.is_held && notice.key.expired_at.is_some());
    Ok(wanted.map(|notice| mail(ctx, "api_keys/expired", &notice)))
}

fn mail(ctx: &Context, template: &'static str, notice: &KeyNotice) -> Mail {
    notice::mail(ctx, template, (&notice.user, &notice.event), |detail| {
        json!({
            "label": notice.key.label,
            // That of the time of the event: the key may have been rolled since.
            "mask": detail.get("mask").and_then(Value::as_str).unwrap_or(&notice.key.mask),
            "found_at": detail.get("found_at").and_then(Value::as_str).unwrap_or_default(),
            "days": detail.get("days").and_then(Value::as_i64).unwrap_or_default(),
            "expires_utc": phrases::time_utc(notice.expires_at),
            "keys_url": phrases::link(&ctx.kernel, "/settings", None),
        })
    })
}

/// Warns of keys that expire soon and marks those that have, one batch per job. What is left is the next job's, up to the
/// number of mails that one window may cause.
pub async fn sweep_expiry(ctx: &Context, tx: &Tx, job: SweepKeyExpiry) -> Result<(), JobError> {
    let config = &ctx.kernel.config.api_keys;
    let (batch, mails) = (config.sweep_batch.max(1), config.sweep_mails);
    let swept = api_keys::sweep(&ctx.kernel, tx, u64::from(batch)).await?;
    tracing::debug!(expired = swept.expired, warned = swept.warned, step = job.step, "keys swept");
    let step = job.step.saturating_add(1);
    if swept.has_more && step.saturating_mul(batch) < mails {
        enqueue(tx, ctx.kernel.clock.as_ref(), &SweepKeyExpiry { window: job.window, step }).await?;
    }
    Ok(())
}
