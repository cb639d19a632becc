//! The sweep: warnings before the end of keys that nobody uses, and their end.
//!
//! ```text
//! unused for   335 days ── warned_30_at ── mail      358 days ── warned_7_at ── mail      365 days ── expired_at ── mail
//! ```
//!
//! Mark, audit row and mail commit together, and a mark is set once until the key is used again: whoever sweeps how often,
//! each mail exists once. A key that nobody looked at for longer gets the mail of its present age, not those it missed.

use sea_orm::DbErr;
use serde_json::json;
use uuid::Uuid;

use super::{
    ApiKeyId,
    entity::Model,
    flow::record,
    jobs::{NotifyKeyExpired, NotifyKeyExpiring},
    store::{self, Stage},
};
use crate::{
    chaos,
    clock::Timestamp,
    db::Tx,
    jobs::{JobId, enqueue},
    kernel::Kernel,
    users::{self, User},
};

/// What one batch of the sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Keys that were marked as expired.
    pub expired: u64,
    /// Keys whose owners were warned.
    pub warned: u64,
    /// Whether there may be more to do.
    pub has_more: bool,
}

/// Marks up to `batch` keys and enqueues their mails, in the caller's transaction.
///
/// # Errors
/// When the database fails; nothing was marked then.
pub async fn sweep(kernel: &Kernel, tx: &Tx, batch: u64) -> Result<Swept, DbErr> {
    let (config, now) = (&kernel.config.api_keys, kernel.clock.now());
    let end = now - config.inactivity();
    let week = now - config.inactivity_until_warning(7);
    let month = now - config.inactivity_until_warning(30);
    let stages =
        [(Stage::Expire, (Timestamp(i64::MIN), end)), (Stage::Warn7, (end, week)), (Stage::Warn30, (week, month))];
    let (mut swept, mut left) = (Swept::default(), batch);
    for (stage, ages) in stages {
        let keys = store::mark(&**tx, stage, ages, now, left).await?;
        for key in &keys {
            tell(kernel, tx, stage, key).await?;
            chaos::point("sweep.mid_batch");
        }
        let count = u64::try_from(keys.len()).unwrap_or(u64::MAX);
        match stage {
            Stage::Expire => swept.expired += count,
            Stage::Warn7 | Stage::Warn30 => swept.warned += count,
        }
        left = left.saturating_sub(count);
        if left == 0 {
            swept.has_more = true;
            break;
        }
    }
    Ok(swept)
}

async fn tell(kernel: &Kernel, tx: &Tx, stage: Stage, key: &Model) -> Result<Option<JobId>, DbErr> {
    let (action, days) = match stage {
        Stage::Expire => ("api_keys.expire", 0),
        Stage::Warn7 => ("api_keys.warn", 7),
        Stage::Warn30 => ("api_keys.warn", 30),
    };
    let detail = json!({ "api_key_id": key.id, "mask": key.mask, "days": days });
    let audit_id = record(kernel, tx, None, (key.user_id, action, detail)).await?;
    let clock = kernel.clock.as_ref();
    if stage == Stage::Expire {
        enqueue(tx, clock, &NotifyKeyExpired { api_key_id: key.id, audit_id }).await
    } else {
        enqueue(tx, clock, &NotifyKeyExpiring { api_key_id: key.id, audit_id }).await
    }
}

/// What a notice about a key is made of.
#[derive(Debug)]
pub struct KeyNotice {
    /// The key.
    pub key: Model,
    /// Its owner.
    pub user: User,
    /// What happened.
    pub event: crate::audit::AuditRow,
    /// When it expires unless it is used.
    pub expires_at: Timestamp,
    /// Whether the owner holds the key still: they are active, and their epoch has not ended it.
    pub is_held: bool,
}

/// What to mail about a key; `None` when the key or its owner is gone.
///
/// # Errors
/// When the database fails.
pub async fn notice(kernel: &Kernel, id: ApiKeyId, audit_id: Uuid) -> Result<Option<KeyNotice>, DbErr> {
    let db = kernel.db.reader();
    let Some(key) = store::find_any(db, id).await? else { return Ok(None) };
    let Some(user) = users::find(db, key.user_id).await? else { return Ok(None) };
    let Some(event) = crate::audit::find(db, audit_id).await? else { return Ok(None) };
    let expires_at = key.active_at + kernel.config.api_keys.inactivity();
    let is_held = user.is_active() && user.auth_epoch == key.auth_epoch;
    Ok(Some(KeyNotice { key, user, event, expires_at, is_held }))
}
