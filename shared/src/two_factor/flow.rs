//! Use cases: proving a second factor, and changing the factors.

use std::time::Duration;

use sea_orm::DbErr;
use serde_json::json;
use uuid::Uuid;

use super::{
    NotifyTwoFactorPasskeys, TwoFactorError,
    status::{methods, status},
    store,
};
use crate::{
    audit::{self, AuditEvent, Outcome},
    backup_codes,
    client::Client,
    db::Tx,
    enforcement, jobs,
    kernel::Kernel,
    passkey::{self, PasskeyError, PasskeyId, SecondFactorAnswer},
    rate_limit::{self, Verdict},
    secret::{self, Redacted},
    sessions::{self, Principal, Sensitivity, SessionError},
    totp::{self, NotifyTotpDisabled, NotifyTotpEnabled, Setup},
    users::{self, UserId},
};

/// What passes the two-factor step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A code of the authenticator app.
    Totp,
    /// A passkey of the user.
    Passkey,
    /// A backup code, beside any factor.
    BackupCode,
}

/// What a proof adds to a session, as in RFC 8176.
pub type Amr = &'static [&'static str];

/// What codes add.
const CODE: Amr = &["otp", "mfa"];

impl Method {
    /// Its name, in the API and on trusted devices.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Passkey => "passkey",
            Self::BackupCode => "backup_code",
        }
    }

    /// Whether a device that passed with it may be trusted. A backup code is for when the factor is not at hand.
    #[must_use]
    pub const fn is_rememberable(self) -> bool {
        match self {
            Self::Totp | Self::Passkey => true,
            Self::BackupCode => false,
        }
    }
}

/// What a user offers as second factor.
#[derive(Clone, Debug)]
pub enum Offer {
    /// A code of the authenticator app.
    Totp(Redacted<String>),
    /// The answer of a passkey.
    Passkey(SecondFactorAnswer),
    /// A backup code.
    BackupCode(Redacted<String>),
}

impl Offer {
    /// What it is tried with.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::Totp(_) => Method::Totp,
            Self::Passkey(_) => Method::Passkey,
            Self::BackupCode(_) => Method::BackupCode,
        }
    }
}

/// The limits that all ways to try a code share, per user.
fn limits(kernel: &Kernel) -> [(rate_limit::Limit, &'static str); 2] {
    let config = &kernel.config.two_factor;
    [(config.per_user, "two_factor.user"), (config.per_user_long, "two_factor.user_long")]
}

/// Whom the limits are of: a user, or one of their devices that signed in before, which others cannot use up.
fn tried(user_id: UserId, device: Option<&[u8]>) -> String {
    device.map_or_else(|| user_id.to_string(), |device| format!("{user_id} {}", secret::encode(device)))
}

/// Counts a try before it is verified, in the caller's transaction. `Some` is how long to wait instead.
///
/// # Errors
/// When the database fails.
pub async fn reserve(
    kernel: &Kernel,
    tx: &Tx,
    (user_id, device): (UserId, Option<&[u8]>),
) -> Result<Option<Duration>, DbErr> {
    let (now, tried) = (kernel.clock.now(), tried(user_id, device));
    for (limit, scope) in limits(kernel) {
        if let Verdict::Denied(wait) = rate_limit::check(&**tx, &kernel.keys, now, limit, (scope, &tried)).await? {
            return Ok(Some(wait));
        }
    }
    Ok(None)
}

/// Starts the count of tries again, after a right one: that of the device, if it has one of its own.
///
/// # Errors
/// When the database fails.
pub async fn forget_attempts(
    kernel: &Kernel,
    tx: &Tx,
    (user_id, device): (UserId, Option<&[u8]>),
) -> Result<(), DbErr> {
    let tried = tried(user_id, device);
    for (_, scope) in limits(kernel) {
        rate_limit::forget(&**tx, &kernel.keys, (scope, &tried)).await?;
    }
    Ok(())
}

/// What the offer adds to a session, or `None` when it is wrong; a right one is used up in the caller's transaction.
/// `asker` is what wants the proof: a passkey's challenge was made for it.
///
/// # Errors
/// When there is no such challenge, or the database fails; nothing was verified then.
pub async fn verify(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    (user_id, asker): (UserId, Uuid),
    offer: &Offer,
) -> Result<Option<Amr>, PasskeyError> {
    match offer {
        Offer::Totp(code) => Ok(totp::verify(kernel, tx, user_id, code.expose()).await?.then_some(CODE)),
        Offer::Passkey(answer) => {
            passkey::verify_second_factor(kernel, tx, client, (user_id, &asker.to_string()), answer).await
        }
        Offer::BackupCode(code) => {
            Ok(backup_codes::spend(kernel, tx, client, user_id, code.expose()).await?.then_some(CODE))
        }
    }
}

/// Demands the proof that a change of factors needs: recent, and of a second factor where the user has one.
///
/// # Errors
/// When the last proof is too old or too weak, or the database fails.
pub async fn require_fresh(kernel: &Kernel, principal: &Principal) -> Result<(), TwoFactorError> {
    sessions::require_recent(kernel, principal, Sensitivity::FactorChange)?;
    let has_factor = !methods(kernel.db.reader(), principal.user.id).await?.is_empty();
    if has_factor && !principal.has_amr("mfa") {
        return Err(SessionError::ReauthenticationRequired.into());
    }
    Ok(())
}

/// Begins the setup of an authenticator app.
///
/// # Errors
/// When there is an app or the last proof is too old, or the database fails.
pub async fn start_totp(kernel: &Kernel, client: &Client, principal: &Principal) -> Result<Setup, TwoFactorError> {
    let user = &principal.user;
    if let Err(err) = require_fresh(kernel, principal).await {
        let is_replacement = totp::is_enabled(kernel.db.reader(), user.id).await?;
        return Err(if is_replacement { TwoFactorError::TotpAlreadyEnabled } else { err });
    }
    let tx = kernel.db.write_tx().await?;
    let setup = totp::begin(kernel, &tx, user, principal.session_id.0).await?;
    record(kernel, &tx, client, user.id, ("totp.start", Outcome::Success)).await?;
    tx.commit().await?;
    Ok(setup)
}

/// Enables the app of the setup with its first code, in place of an earlier app. Returns fresh backup codes.
///
/// # Errors
/// When there is no setup of this session, it is over, the code is wrong, or the database fails.
pub async fn confirm_totp(
    kernel: &Kernel,
    client: &Client,
    principal: &Principal,
    code: &str,
) -> Result<Vec<Redacted<String>>, TwoFactorError> {
    let user_id = principal.user.id;
    let tx = kernel.db.write_tx().await?;
    if let Err(refusal) = totp::confirm(kernel, &tx, user_id, principal.session_id.0, code).await? {
        record(kernel, &tx, client, user_id, ("totp.confirm", Outcome::Failure)).await?;
        tx.commit().await?;
        return Err(refusal.into());
    }
    let codes = backup_codes::replace(kernel, &tx, user_id).await?;
    settle(kernel, &tx, principal).await?;
    let audit_id = record(kernel, &tx, client, user_id, ("totp.confirm", Outcome::Success)).await?;
    jobs::enqueue(&tx, kernel.clock.as_ref(), &NotifyTotpEnabled { user_id, audit_id }).await?;
    tx.commit().await?;
    Ok(codes)
}

/// Removes the authenticator app, and the backup codes with the last factor.
///
/// # Errors
/// When there is no app, it is the last factor and demanded, or the last proof is too old or too weak.
pub async fn disable_totp(kernel: &Kernel, client: &Client, principal: &Principal) -> Result<(), TwoFactorError> {
    let user_id = principal.user.id;
    require_fresh(kernel, principal).await?;
    let mut tx = kernel.db.write_tx().await?;
    users::lock(&*tx, user_id).await?;
    if !totp::remove(&tx, user_id).await? {
        return Err(TwoFactorError::TotpNotEnabled);
    }
    if methods(&*tx, user_id).await?.is_empty() {
        tx = keep_factor(kernel, tx, client, (user_id, "totp.disable")).await?;
        backup_codes::remove_all(&*tx, user_id).await?;
    }
    settle(kernel, &tx, principal).await?;
    let audit_id = record(kernel, &tx, client, user_id, ("totp.disable", Outcome::Success)).await?;
    jobs::enqueue(&tx, kernel.clock.as_ref(), &NotifyTotpDisabled { user_id, audit_id }).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes every second factor away, in the caller's transaction. Passkeys stay as a way to sign in.
///
/// # Errors
/// When the database fails.
pub async fn remove_all(tx: &Tx, user_id: UserId) -> Result<(), DbErr> {
    totp::remove(tx, user_id).await?;
    store::disable_passkeys(&**tx, user_id).await?;
    backup_codes::remove_all(&**tx, user_id).await?;
    Ok(())
}

/// Makes the user's passkeys a second factor, or no longer. Returns backup codes where there were none.
///
/// # Errors
/// When there is no passkey, it is the last factor and demanded, or the last proof is too old or too weak.
pub async fn set_passkeys(
    kernel: &Kernel,
    client: &Client,
    principal: &Principal,
    is_enabled: bool,
) -> Result<Vec<Redacted<String>>, TwoFactorError> {
    let user_id = principal.user.id;
    require_fresh(kernel, principal).await?;
    let mut tx = kernel.db.write_tx().await?;
    if is_enabled && passkey::lock_count(&tx, user_id).await? == 0 {
        return Err(TwoFactorError::NoPasskeys);
    }
    users::lock(&*tx, user_id).await?;
    let is_changed = if is_enabled {
        store::enable_passkeys(&*tx, user_id, kernel.clock.now()).await?
    } else {
        store::disable_passkeys(&*tx, user_id).await?
    };
    if !is_changed {
        return Ok(Vec::new());
    }
    let (status, mut codes) = (status(&*tx, user_id).await?, Vec::new());
    if status.methods.is_empty() {
        tx = keep_factor(kernel, tx, client, (user_id, "two_factor.disable_passkeys")).await?;
        backup_codes::remove_all(&*tx, user_id).await?;
    } else if is_enabled && status.backup_codes_left == 0 {
        codes = backup_codes::replace(kernel, &tx, user_id).await?;
    }
    settle(kernel, &tx, principal).await?;
    let action = if is_enabled { "two_factor.enable_passkeys" } else { "two_factor.disable_passkeys" };
    let audit_id = record(kernel, &tx, client, user_id, (action, Outcome::Success)).await?;
    jobs::enqueue(&tx, kernel.clock.as_ref(), &NotifyTwoFactorPasskeys { user_id, audit_id, is_enabled }).await?;
    tx.commit().await?;
    Ok(codes)
}

/// Removes a passkey. Where it was a second factor, what the user holds elsewhere ends.
///
/// # Errors
/// When it is not the user's, it is the last way to sign in or the last factor, or the last proof is too old or too weak.
pub async fn remove_passkey(
    kernel: &Kernel,
    client: &Client,
    principal: &Principal,
    id: PasskeyId,
) -> Result<(), TwoFactorError> {
    let user_id = principal.user.id;
    require_fresh(kernel, principal).await?;
    let mut tx = kernel.db.write_tx().await?;
    users::lock(&*tx, user_id).await?;
    let left = passkey::remove(kernel, &tx, client, user_id, id).await?;
    let status = status(&*tx, user_id).await?;
    if left == 0 && status.methods.is_empty() {
        tx = keep_factor(kernel, tx, client, (user_id, "passkey.remove")).await?;
    }
    if status.are_passkeys_enabled {
        if status.methods.is_empty() {
            return Err(TwoFactorError::LastSecondFactor);
        }
        if left == 0 {
            store::disable_passkeys(&*tx, user_id).await?;
        }
        settle(kernel, &tx, principal).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Makes fresh backup codes; the earlier ones are void.
///
/// # Errors
/// When there is no second factor, the last proof is too old or too weak, or the database fails.
pub async fn replace_backup_codes(
    kernel: &Kernel,
    client: &Client,
    principal: &Principal,
) -> Result<Vec<Redacted<String>>, TwoFactorError> {
    let user_id = principal.user.id;
    require_fresh(kernel, principal).await?;
    let tx = kernel.db.write_tx().await?;
    if methods(&*tx, user_id).await?.is_empty() {
        return Err(TwoFactorError::NotEnabled);
    }
    let codes = backup_codes::replace(kernel, &tx, user_id).await?;
    record(kernel, &tx, client, user_id, ("backup_codes.replace", Outcome::Success)).await?;
    tx.commit().await?;
    Ok(codes)
}

/// After a change of factors: what the user holds elsewhere ends, the present session stays.
async fn settle(kernel: &Kernel, tx: &Tx, principal: &Principal) -> Result<(), DbErr> {
    let (user_id, now) = (principal.user.id, kernel.clock.now());
    let auth_epoch = users::bump_epoch(&**tx, user_id, now).await?;
    sessions::settle(tx, user_id, Some(principal.session_id), auth_epoch, now).await.map(|_| ())
}

/// Goes on with losing the last factor unless an organization demands one; the wish is audited then.
async fn keep_factor(
    kernel: &Kernel,
    tx: Tx,
    client: &Client,
    (user_id, action): (UserId, &'static str),
) -> Result<Tx, TwoFactorError> {
    if !enforcement::rules_of(&*tx, user_id).await?.forbid_losing_the_factor() {
        return Ok(tx);
    }
    tx.rollback().await?;
    let tx = kernel.db.write_tx().await?;
    record(kernel, &tx, client, user_id, (action, Outcome::Failure)).await?;
    tx.commit().await?;
    Err(TwoFactorError::Enforced)
}

async fn record(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    user_id: UserId,
    (action, outcome): (&'static str, Outcome),
) -> Result<Uuid, DbErr> {
    let event = AuditEvent { action, outcome, user_id: Some(user_id.0), client: Some(client), detail: json!({}) };
    audit::record(&**tx, kernel.clock.as_ref(), event).await
}
