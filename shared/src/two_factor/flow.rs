//! Use cases: proving a second factor, and changing the factors.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};
use serde_json::json;
use uuid::Uuid;

use super::TwoFactorError;
use crate::{
    audit::{self, AuditEvent, Outcome},
    backup_codes,
    client::Client,
    db::Tx,
    jobs,
    kernel::Kernel,
    rate_limit::{self, Verdict},
    secret::Redacted,
    sessions::{self, Principal, Sensitivity, SessionError},
    totp::{self, NotifyTotpDisabled, NotifyTotpEnabled, Setup},
    users::{self, UserId},
};

/// What passes the two-factor step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A code of the authenticator app.
    Totp,
    /// A backup code, beside any factor.
    BackupCode,
}

impl Method {
    /// Its name, in the API and on trusted devices.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::BackupCode => "backup_code",
        }
    }

    /// Whether a device that passed with it may be trusted. A backup code is for when the factor is not at hand.
    #[must_use]
    pub const fn is_rememberable(self) -> bool {
        match self {
            Self::Totp => true,
            Self::BackupCode => false,
        }
    }

    /// What it adds to a session, as in RFC 8176.
    #[must_use]
    pub const fn amr(self) -> &'static [&'static str] {
        match self {
            Self::Totp | Self::BackupCode => &["otp", "mfa"],
        }
    }
}

/// What a user offers as second factor.
#[derive(Clone, Debug)]
pub enum Offer {
    /// A code of the authenticator app.
    Totp(Redacted<String>),
    /// A backup code.
    BackupCode(Redacted<String>),
}

impl Offer {
    /// What it is tried with.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::Totp(_) => Method::Totp,
            Self::BackupCode(_) => Method::BackupCode,
        }
    }
}

/// What of second factors a user has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What passes the two-factor step; empty without a second factor.
    pub methods: Vec<Method>,
    /// Backup codes that were not used.
    pub backup_codes_left: u64,
}

/// What passes the two-factor step for this user; empty without a second factor.
///
/// # Errors
/// When the database fails.
pub async fn methods<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Vec<Method>, DbErr> {
    status(db, user_id).await.map(|status| status.methods)
}

/// What of second factors this user has.
///
/// # Errors
/// When the database fails.
pub async fn status<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Status, DbErr> {
    let mut methods = Vec::new();
    if totp::is_enabled(db, user_id).await? {
        methods.push(Method::Totp);
    }
    if methods.is_empty() {
        return Ok(Status { methods, backup_codes_left: 0 });
    }
    let backup_codes_left = backup_codes::count_left(db, user_id).await?;
    if backup_codes_left > 0 {
        methods.push(Method::BackupCode);
    }
    Ok(Status { methods, backup_codes_left })
}

/// The limits that all ways to try a code share, per user.
fn limits(kernel: &Kernel) -> [(rate_limit::Limit, &'static str); 2] {
    let config = &kernel.config.two_factor;
    [(config.per_user, "two_factor.user"), (config.per_user_long, "two_factor.user_long")]
}

/// Counts a try before it is verified, in the caller's transaction. `Some` is how long to wait instead.
///
/// # Errors
/// When the database fails.
pub async fn reserve(kernel: &Kernel, tx: &Tx, user_id: UserId) -> Result<Option<Duration>, DbErr> {
    let (now, user) = (kernel.clock.now(), user_id.to_string());
    for (limit, scope) in limits(kernel) {
        if let Verdict::Denied(wait) = rate_limit::check(&**tx, &kernel.keys, now, limit, (scope, &user)).await? {
            return Ok(Some(wait));
        }
    }
    Ok(None)
}

/// Starts the count of tries again, after a right one.
///
/// # Errors
/// When the database fails.
pub async fn forget_attempts(kernel: &Kernel, tx: &Tx, user_id: UserId) -> Result<(), DbErr> {
    for (_, scope) in limits(kernel) {
        rate_limit::forget(&**tx, &kernel.keys, (scope, &user_id.to_string())).await?;
    }
    Ok(())
}

/// Whether the offer is right; a right one is used up in the caller's transaction.
///
/// # Errors
/// When the database fails.
pub async fn verify(kernel: &Kernel, tx: &Tx, client: &Client, user_id: UserId, offer: &Offer) -> Result<bool, DbErr> {
    match offer {
        Offer::Totp(code) => totp::verify(kernel, tx, user_id, code.expose()).await,
        Offer::BackupCode(code) => backup_codes::spend(kernel, tx, client, user_id, code.expose()).await,
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
/// When there is no app, the last proof is too old or too weak, or the database fails.
pub async fn disable_totp(kernel: &Kernel, client: &Client, principal: &Principal) -> Result<(), TwoFactorError> {
    let user_id = principal.user.id;
    require_fresh(kernel, principal).await?;
    let tx = kernel.db.write_tx().await?;
    if !totp::remove(&tx, user_id).await? {
        return Err(TwoFactorError::TotpNotEnabled);
    }
    if methods(&*tx, user_id).await?.is_empty() {
        backup_codes::remove_all(&*tx, user_id).await?;
    }
    settle(kernel, &tx, principal).await?;
    let audit_id = record(kernel, &tx, client, user_id, ("totp.disable", Outcome::Success)).await?;
    jobs::enqueue(&tx, kernel.clock.as_ref(), &NotifyTotpDisabled { user_id, audit_id }).await?;
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
