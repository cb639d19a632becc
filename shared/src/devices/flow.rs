//! Use cases: trusting a device, and asking whether one is trusted.

use sea_orm::{ActiveValue::Set, DbErr};

use super::{
    entity::{ActiveModel, DeviceId},
    store,
};
use crate::{
    client::Client,
    clock::Timestamp,
    db::Tx,
    kernel::Kernel,
    secret::{self, Redacted},
    users::User,
};

/// A device that was just trusted; its secret is not recoverable later.
#[derive(Debug)]
pub struct Trusted {
    /// What the browser presents from now on.
    pub device_token: Redacted<String>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Trusts this browser for `user` and `method`, in place of the trust that `previous` stood for.
///
/// # Errors
/// When the database fails.
pub async fn trust(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    (user, method): (&User, &str),
    previous: Option<&str>,
) -> Result<Trusted, DbErr> {
    let now = kernel.clock.now();
    if let Some(previous) = previous {
        store::revoke_digest(&**tx, user.id, &secret::digest(previous), now).await?;
    }
    let device_token = secret::mint("gpdv_");
    let expires_at = now + kernel.config.devices.trust();
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
    };
    store::insert(&**tx, row).await?;
    Ok(Trusted { device_token, expires_at })
}

/// Whether this browser may skip `method` for `user`.
///
/// # Errors
/// When the database fails; the step is then required.
pub async fn is_trusted(kernel: &Kernel, user: &User, method: &str, device_token: Option<&str>) -> Result<bool, DbErr> {
    let Some(device_token) = device_token else { return Ok(false) };
    let digest = secret::digest(device_token);
    let device = store::find_live(kernel.db.reader(), user.id, &digest, kernel.clock.now()).await?;
    Ok(device.is_some_and(|device| device.method == method && device.auth_epoch == user.auth_epoch))
}
