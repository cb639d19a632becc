//! Use cases: trusting a device, asking whether one is trusted, ending that, and disowning a login.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    DeviceError,
    entity::{ActiveModel, DeviceId, Model},
    known, store,
};
use crate::{
    audit::{self, AuditEvent, AuditRow, Outcome},
    client::Client,
    db::Tx,
    enforcement,
    kernel::Kernel,
    secret::{self, Keyring, Redacted, SignedId},
    sessions,
    users::{self, User, UserId},
};

/// Longest name of a device, in characters.
const NAME_LIMIT: usize = 64;

/// A device that was just trusted; its secret is not recoverable later.
#[derive(Debug)]
pub struct Trusted {
    /// What the browser presents from now on.
    pub device_token: Redacted<String>,
    /// For how long.
    pub span: Duration,
}

/// Trusts this browser for `user` and `method`, in place of the trust that `previous` stood for. `None` when an
/// organization of the user forbids it.
///
/// # Errors
/// When the database fails.
pub async fn trust(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    (user, method): (&User, &str),
    previous: Option<&str>,
) -> Result<Option<Trusted>, DbErr> {
    let now = kernel.clock.now();
    let span = span(kernel, &**tx, user.id).await?;
    if let Some(previous) = previous {
        store::revoke_digest(&**tx, user.id, &secret::digest(previous), now).await?;
    }
    if span.is_zero() {
        return Ok(None);
    }
    let device_token = secret::mint("gpdv_");
    let expires_at = now + span;
    let row = ActiveModel {
        id: Set(DeviceId::next()),
        user_id: Set(user.id),
        digest: Set(secret::digest(device_token.expose())),
        method: Set(method.to_owned()),
        auth_epoch: Set(user.auth_epoch),
        user_agent: Set(client.user_agent.clone()),
        created_at: Set(now),
        expires_at: Set(expires_at),
        revoked_at: Set(None),
        name: Set(None),
    };
    store::insert(&**tx, row).await?;
    Ok(Some(Trusted { device_token, span }))
}

/// How long a browser stays trusted: the installation's span, or a shorter one of the user's organizations.
async fn span<C: ConnectionTrait>(kernel: &Kernel, db: &C, user_id: UserId) -> Result<Duration, DbErr> {
    let span = kernel.config.devices.trust();
    let rules = enforcement::rules_of(db, user_id).await?;
    Ok(rules.device_trust.map_or(span, |shorter| shorter.min(span)))
}

/// Whether this browser may skip `method` for `user`.
///
/// # Errors
/// When the database fails; the step is then required.
pub async fn is_trusted(kernel: &Kernel, user: &User, method: &str, device_token: Option<&str>) -> Result<bool, DbErr> {
    let Some(device_token) = device_token else { return Ok(false) };
    let (db, now, digest) = (kernel.db.reader(), kernel.clock.now(), secret::digest(device_token));
    let device = store::find_live(db, user.id, &digest, now).await?;
    let fits = |device: &Model| device.method == method && device.auth_epoch == user.auth_epoch;
    let Some(device) = device.filter(fits) else { return Ok(false) };
    // What was granted before a rule became stricter is held against the rule of today.
    Ok(device.created_at + span(kernel, db, user.id).await? > now)
}

/// The user's trusted devices, the newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(kernel: &Kernel, user: &User, page: (u64, Option<DeviceId>)) -> Result<Vec<Model>, DbErr> {
    let (db, now) = (kernel.db.reader(), kernel.clock.now());
    let since = now - span(kernel, db, user.id).await?;
    store::list(db, user, page, (since, now)).await
}

/// Whether this cookie is the device's.
#[must_use]
pub fn is_current(device: &Model, device_token: Option<&str>) -> bool {
    device_token.is_some_and(|token| secret::equal(&secret::digest(token), &device.digest))
}

/// Names a trusted device.
///
/// # Errors
/// When the user has no such device, or the name is none.
pub async fn rename(
    kernel: &Kernel,
    client: &Client,
    user: &User,
    id: DeviceId,
    name: &str,
) -> Result<Model, DeviceError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_LIMIT || name.chars().any(char::is_control) {
        return Err(DeviceError::Name);
    }
    let tx = kernel.db.write_tx().await?;
    let found = store::rename(&*tx, user, (id, name), kernel.clock.now()).await?;
    let device = found.ok_or(DeviceError::NotFound)?;
    record(kernel, &tx, client, (user.id, "devices.rename", json!({ "device_id": id }))).await?;
    tx.commit().await?;
    Ok(device)
}

/// Ends the trust in a device.
///
/// # Errors
/// When the user has no such device.
pub async fn revoke(kernel: &Kernel, client: &Client, user: &User, id: DeviceId) -> Result<(), DeviceError> {
    let tx = kernel.db.write_tx().await?;
    if !store::revoke(&*tx, user, id, kernel.clock.now()).await? {
        return Err(DeviceError::NotFound);
    }
    record(kernel, &tx, client, (user.id, "devices.revoke", json!({ "device_id": id }))).await?;
    tx.commit().await?;
    Ok(())
}

async fn record(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    (user_id, action, detail): (UserId, &'static str, Value),
) -> Result<(), DbErr> {
    let event =
        AuditEvent { action, outcome: Outcome::Success, user_id: Some(user_id.0), client: Some(client), detail };
    audit::record(&**tx, kernel.clock.as_ref(), event).await.map(|_| ())
}

/// What the audit row of a login with a new device says for the sake of the link in the notice.
#[must_use]
pub fn notice_detail(keys: &Keyring, user: &User) -> Value {
    json!({ "key_id": keys.current(), "auth_epoch": user.auth_epoch })
}

/// What the notice of a login with a new device is made of.
#[derive(Debug)]
pub struct NewDeviceMail {
    /// Whom it goes to.
    pub user: User,
    /// The login.
    pub event: AuditRow,
    /// How the user proved who they are, RFC 8176.
    pub amr: Vec<String>,
    /// The text behind `token=` in the link.
    pub token: String,
}

/// What to mail about a login; `None` when there is nothing to tell.
///
/// # Errors
/// When the database fails.
pub async fn new_device_mail(kernel: &Kernel, audit_id: Uuid) -> Result<Option<NewDeviceMail>, DbErr> {
    let Some(notice) = find_notice(kernel, audit_id).await? else { return Ok(None) };
    let Some(mac) = notice.derive(&kernel.keys) else { return Ok(None) };
    let amr = notice.detail.get("amr").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let (amr, token) = (amr.map(str::to_owned).collect(), SignedId::new(audit_id, mac).to_text());
    Ok(Some(NewDeviceMail { user: notice.user, event: notice.event, amr, token }))
}

/// A login that was not the user's: everything they hold ends. A second time, or after a new password, there is nothing
/// left to end.
///
/// # Errors
/// When the token is not good, or the database fails.
pub async fn disown(kernel: &Kernel, client: &Client, token: &str) -> Result<(), DeviceError> {
    let token = SignedId::parse(token).ok_or(DeviceError::InvalidNotice)?;
    let notice = find_notice(kernel, token.id).await?.ok_or(DeviceError::InvalidNotice)?;
    let now = kernel.clock.now();
    let validity = Duration::from_secs(kernel.config.devices.link_seconds);
    if !token.is_signed_with(notice.derive(&kernel.keys)) || notice.event.at + validity <= now {
        return Err(DeviceError::InvalidNotice);
    }
    let user_id = notice.user.id;
    let tx = kernel.db.write_tx().await?;
    let auth_epoch = users::bump_epoch(&*tx, user_id, now).await?;
    if auth_epoch != notice.epoch() + 1 {
        // Rolled back: what that login began has ended before.
        return Ok(());
    }
    sessions::settle(&tx, user_id, None, auth_epoch, now).await?;
    known::forget_all(&tx, user_id, now).await?;
    record(kernel, &tx, client, (user_id, "devices.disown", json!({ "audit_id": notice.event.id }))).await?;
    tx.commit().await?;
    Ok(())
}

/// A login with a new device, as its audit row tells it.
struct Notice {
    user: User,
    event: AuditRow,
    detail: Value,
}

impl Notice {
    fn epoch(&self) -> i64 {
        self.detail.pointer("/notice/auth_epoch").and_then(Value::as_i64).unwrap_or_default()
    }

    fn derive(&self, keys: &Keyring) -> Option<[u8; 32]> {
        let key_id = self.detail.pointer("/notice/key_id").and_then(Value::as_str)?;
        let epoch = self.epoch().to_be_bytes();
        keys.derive(key_id, "devices.notice", &[self.event.id.as_bytes(), self.user.id.0.as_bytes(), &epoch])
    }
}

async fn find_notice(kernel: &Kernel, audit_id: Uuid) -> Result<Option<Notice>, DbErr> {
    let db = kernel.db.reader();
    let Some(event) = audit::find(db, audit_id).await? else { return Ok(None) };
    let Some(user_id) = event.user_id else { return Ok(None) };
    let detail: Value = serde_json::from_str(&event.detail).unwrap_or_default();
    Ok(users::find(db, UserId(user_id)).await?.map(|user| Notice { user, event, detail }))
}
