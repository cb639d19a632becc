//! Use cases: an administrator's request, and the user's completion of it.

use sea_orm::DbErr;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    NotifyTwoFactorReset, SendTwoFactorResetLink, TwoFactorResetError, TwoFactorResetId, entity::Model, store,
};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    db::Tx,
    devices, jobs,
    kernel::Kernel,
    lockout::{self, Authenticator, Reservation, Subject},
    orgs::{self, OrgError, OrgId, Permission, Role},
    password::{self, HashPool, Overloaded},
    rate_limit::{self, Verdict},
    secret::{Keyring, SignedId},
    sessions::{self, Principal, Sensitivity},
    two_factor,
    users::{self, User, UserId},
};

/// Mails a user the link with which they can remove their own second factors. Nothing else happens.
///
/// # Errors
/// When the administrator may not ask for it, proved who they are too long ago or asks too often, when there is nothing to
/// reset, no mail can be sent, or the database fails.
pub async fn request(
    kernel: &Kernel,
    client: &Client,
    admin: &Principal,
    user_id: UserId,
) -> Result<(), TwoFactorResetError> {
    sessions::require_recent(kernel, admin, Sensitivity::Sensitive)?;
    let (user, org_id) = match authorise(kernel, admin, user_id).await {
        Ok(found) => found,
        Err(err @ TwoFactorResetError::Forbidden(reason)) => {
            let tx = kernel.db.write_tx().await?;
            let detail = json!({ "user_id": user_id, "reason": reason });
            record(kernel, &tx, Some(client), admin.user.id, ("two_factor_reset.request", Outcome::Failure, detail))
                .await?;
            tx.commit().await?;
            return Err(err);
        }
        Err(err) => return Err(err),
    };
    if !kernel.config.mail.is_available() {
        return Err(TwoFactorResetError::EmailNotAvailable);
    }
    let tx = kernel.db.write_tx().await?;
    if two_factor::methods(&*tx, user.id).await?.is_empty() {
        return Err(TwoFactorResetError::NotEnabled);
    }
    count(kernel, &tx, admin.user.id, user.id).await?;
    let now = kernel.clock.now();
    let validity = (now, now + kernel.config.two_factor_reset.validity());
    let reset_id = store::insert(&*tx, &user, admin.user.id, kernel.keys.current(), validity).await?;
    jobs::enqueue(&tx, kernel.clock.as_ref(), &SendTwoFactorResetLink { reset_id }).await?;
    let detail = json!({ "user_id": user.id, "organization_id": org_id, "reset_id": reset_id });
    record(kernel, &tx, Some(client), admin.user.id, ("two_factor_reset.request", Outcome::Success, detail)).await?;
    tx.commit().await?;
    Ok(())
}

/// The user, and an organization in which it is for this administrator to decide. In none of those that both belong to
/// may the user's role be the higher one.
async fn authorise(kernel: &Kernel, admin: &Principal, user_id: UserId) -> Result<(User, OrgId), TwoFactorResetError> {
    if user_id == admin.user.id {
        return Err(TwoFactorResetError::Forbidden("self"));
    }
    let (db, actor) = (kernel.db.reader(), admin.actor());
    let (mut granted, mut is_colleague, mut is_outranked) = (None, false, false);
    for (organization, role) in orgs::list_of_user(db, user_id).await? {
        let own_role = match orgs::require(db, &actor, organization.id, Permission::ManageMembers).await {
            Ok(access) => {
                granted = granted.or(Some(organization.id));
                access.role
            }
            Err(OrgError::Forbidden) => Role::Member,
            Err(OrgError::NotFound) => continue,
            Err(err) => return Err(err.into()),
        };
        is_colleague = true;
        is_outranked |= role > own_role;
    }
    if !is_colleague {
        return Err(TwoFactorResetError::NotFound);
    }
    if is_outranked {
        return Err(TwoFactorResetError::Forbidden("outranked"));
    }
    let org_id = granted.ok_or(TwoFactorResetError::Forbidden("role"))?;
    let user = users::find(db, user_id).await?.filter(User::is_active).ok_or(TwoFactorResetError::NotFound)?;
    Ok((user, org_id))
}

/// Counts a request, for both sides of it.
async fn count(kernel: &Kernel, tx: &Tx, admin: UserId, user: UserId) -> Result<(), TwoFactorResetError> {
    let (config, now) = (&kernel.config.two_factor_reset, kernel.clock.now());
    let scopes = [
        (config.per_admin, "two_factor_reset.admin", admin.to_string()),
        (config.per_user, "two_factor_reset.user", user.to_string()),
    ];
    for (limit, scope, key) in scopes {
        if let Verdict::Denied(wait) = rate_limit::check(&**tx, &kernel.keys, now, limit, (scope, &key)).await? {
            return Err(TwoFactorResetError::Throttled(wait));
        }
    }
    Ok(())
}

/// What the mail of a request is made of.
#[derive(Debug)]
pub struct ResetMail {
    /// Whom it goes to.
    pub user: User,
    /// The text behind `token=` in the link.
    pub token: String,
}

/// What to mail for a request; `None` when the link is no longer good.
///
/// # Errors
/// When the database fails.
pub async fn reset_mail(kernel: &Kernel, reset_id: TwoFactorResetId) -> Result<Option<ResetMail>, DbErr> {
    let reset = store::find_open(kernel.db.reader(), reset_id).await?;
    let Some(reset) = reset.filter(|reset| reset.expires_at > kernel.clock.now()) else { return Ok(None) };
    let Some(user) = owner(kernel, &reset).await? else { return Ok(None) };
    let mac = derive(&kernel.keys, &reset);
    Ok(mac.map(|mac| ResetMail { user, token: SignedId::new(reset.id.0, mac).to_text() }))
}

/// Whether a token could complete a reset now. Does not spend it.
///
/// # Errors
/// When it could not, or the database fails.
pub async fn validate(kernel: &Kernel, token: &str) -> Result<(), TwoFactorResetError> {
    check(kernel, token).await.map(|_| ())
}

/// Removes the user's second factors, ends everything they hold and tells them. Opens no session. `present` is who is
/// signed in where the request comes from.
///
/// # Errors
/// When the token is not good, the password is wrong (the token then stays good), somebody else is signed in, or the
/// database fails.
pub async fn complete(
    kernel: &Kernel,
    hasher: &HashPool,
    client: &Client,
    present: Option<UserId>,
    (token, password): (&str, &str),
) -> Result<(), TwoFactorResetError> {
    let (reset, user) = match check(kernel, token).await {
        Ok(found) => found,
        Err(err) => return refuse(kernel, client, None, err).await,
    };
    if present.is_some_and(|present| present != user.id) {
        return refuse(kernel, client, Some(user.id), TwoFactorResetError::Forbidden("session")).await;
    }
    let subject = Subject::of(&user.email_normalised, None);
    let reservation = lockout::reserve(kernel, client, subject, Authenticator::Password).await?;
    let is_right = match is_password(kernel, hasher, user.id, password).await {
        Ok(is_right) => is_right,
        Err(err) => {
            // Nothing was learnt about the password.
            lockout::give_back(kernel, kernel.db.writer(), &reservation).await?;
            return Err(err);
        }
    };
    if !is_right {
        return refuse_password(kernel, client, user.id, &reservation).await;
    }
    let (tx, now) = (kernel.db.write_tx().await?, kernel.clock.now());
    lockout::succeed(kernel, &tx, &reservation).await?;
    let is_spent = store::consume(&*tx, reset.id, now).await?;
    let auth_epoch = users::bump_epoch(&*tx, user.id, now).await?;
    // Someone else spent the link, or the epoch moved while the password was verified.
    if !is_spent || auth_epoch != reset.auth_epoch + 1 {
        tx.rollback().await?;
        lockout::give_back(kernel, kernel.db.writer(), &reservation).await?;
        return refuse(kernel, client, Some(user.id), TwoFactorResetError::InvalidToken).await;
    }
    take_effect(kernel, &tx, client, &reset, auth_epoch).await?;
    tx.commit().await?;
    Ok(())
}

/// Everything that a spent link brings about, in its transaction.
async fn take_effect(kernel: &Kernel, tx: &Tx, client: &Client, reset: &Model, auth_epoch: i64) -> Result<(), DbErr> {
    let (user_id, now) = (reset.user_id, kernel.clock.now());
    two_factor::remove_all(tx, user_id).await?;
    sessions::settle(tx, user_id, None, auth_epoch, now).await?;
    devices::forget_all(tx, user_id, now).await?;
    let detail = json!({ "reset_id": reset.id, "requested_by": reset.requested_by });
    let done = ("two_factor_reset.complete", Outcome::Success, detail);
    let audit_id = record(kernel, tx, Some(client), user_id, done).await?;
    if let Some(admin) = reset.requested_by {
        let detail = json!({ "reset_id": reset.id, "user_id": user_id });
        record(kernel, tx, None, admin, ("two_factor_reset.take_effect", Outcome::Success, detail)).await?;
    }
    jobs::enqueue(tx, kernel.clock.as_ref(), &NotifyTwoFactorReset { user_id, audit_id }).await?;
    Ok(())
}

async fn is_password(
    kernel: &Kernel,
    hasher: &HashPool,
    user_id: UserId,
    password: &str,
) -> Result<bool, TwoFactorResetError> {
    // No stored password is that long; the hash would only cost time.
    if password.len() > kernel.config.password.max_bytes {
        return Ok(false);
    }
    let ticket = hasher.reserve()?;
    let stored = password::find(kernel.db.reader(), user_id).await?;
    let found = ticket.verify(stored, password).await.map_err(|err: Overloaded| TwoFactorResetError::from(err))?;
    Ok(found.is_right)
}

/// Counts the wrong password among the failures of the account.
async fn refuse_password(
    kernel: &Kernel,
    client: &Client,
    user_id: UserId,
    reservation: &Reservation,
) -> Result<(), TwoFactorResetError> {
    let tx = kernel.db.write_tx().await?;
    lockout::fail(kernel, &tx, client, reservation, Some(user_id)).await?;
    let detail = json!({ "reason": "incorrect_password" });
    record(kernel, &tx, Some(client), user_id, ("two_factor_reset.complete", Outcome::Failure, detail)).await?;
    tx.commit().await?;
    Err(TwoFactorResetError::IncorrectPassword)
}

/// Audits a refusal.
async fn refuse(
    kernel: &Kernel,
    client: &Client,
    user_id: Option<UserId>,
    err: TwoFactorResetError,
) -> Result<(), TwoFactorResetError> {
    let reason = if let TwoFactorResetError::Forbidden(reason) = err {
        reason
    } else if matches!(err, TwoFactorResetError::Expired) {
        "expired"
    } else if matches!(err, TwoFactorResetError::InvalidToken) {
        "invalid_token"
    } else {
        return Err(err);
    };
    let tx = kernel.db.write_tx().await?;
    let event = AuditEvent {
        action: "two_factor_reset.complete",
        outcome: Outcome::Failure,
        user_id: user_id.map(|id| id.0),
        client: Some(client),
        detail: json!({ "reason": reason }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    Err(err)
}

/// The request behind a token and its user. Whoever has a good link may know that it is too old.
async fn check(kernel: &Kernel, token: &str) -> Result<(Model, User), TwoFactorResetError> {
    let token = SignedId::parse(token).ok_or(TwoFactorResetError::InvalidToken)?;
    let found = store::find_open(kernel.db.reader(), TwoFactorResetId(token.id)).await?;
    let reset = found.ok_or(TwoFactorResetError::InvalidToken)?;
    if !token.is_signed_with(derive(&kernel.keys, &reset)) {
        return Err(TwoFactorResetError::InvalidToken);
    }
    let user = owner(kernel, &reset).await?.ok_or(TwoFactorResetError::InvalidToken)?;
    if reset.expires_at <= kernel.clock.now() {
        return Err(TwoFactorResetError::Expired);
    }
    Ok((reset, user))
}

/// The user of a request, if they are active and their epoch has not moved since.
async fn owner(kernel: &Kernel, reset: &Model) -> Result<Option<User>, DbErr> {
    let user = users::find(kernel.db.reader(), reset.user_id).await?;
    Ok(user.filter(|user| user.is_active() && user.auth_epoch == reset.auth_epoch))
}

fn derive(keys: &Keyring, reset: &Model) -> Option<[u8; 32]> {
    let parts: [&[u8]; 3] = [reset.id.0.as_bytes(), reset.user_id.0.as_bytes(), &reset.auth_epoch.to_be_bytes()];
    keys.derive(&reset.key_id, "two_factor_reset.link", &parts)
}

async fn record(
    kernel: &Kernel,
    tx: &Tx,
    client: Option<&Client>,
    user_id: UserId,
    (action, outcome, detail): (&'static str, Outcome, Value),
) -> Result<Uuid, DbErr> {
    let event = AuditEvent { action, outcome, user_id: Some(user_id.0), client, detail };
    audit::record(&**tx, kernel.clock.as_ref(), event).await
}
