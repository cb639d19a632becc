//! Use cases: requesting, checking and completing a reset.

use sea_orm::DbErr;
use serde_json::json;

use super::{RecoveryError, ResetId, SendResetLink, entity::Model, store};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    db::Tx,
    devices, domains, email_verification, invites, jobs,
    kernel::Kernel,
    lockout::{self, Authenticator, Subject},
    passkey,
    password::{self, HashPool, NotifyPasswordChanged, Overloaded, PasswordError, StoredPassword},
    rate_limit::{self, Verdict},
    secret::{Keyring, SignedId},
    sessions, social, two_factor,
    users::{self, Email, User, UserId},
};

/// How many linked identities are looked at for a mail.
const MAX_PROVIDERS: u64 = 20;

/// Requests a link for `email`. Succeeds whether or not the address is anybody's, and whether or not a mail is sent.
///
/// # Errors
/// When the network asked too often, the domain demands a provider, no mail can be sent at all, or the database fails.
pub async fn request(kernel: &Kernel, client: &Client, email: &str) -> Result<(), RecoveryError> {
    if !kernel.config.mail.is_available() {
        return Err(RecoveryError::EmailNotAvailable);
    }
    let email = Email::parse(email).ok();
    if let Some(email) = &email {
        domains::ensure_password_allowed(kernel, kernel.db.reader(), email).await??;
    }
    let tx = kernel.db.write_tx().await?;
    let limits = &kernel.config.recovery;
    let now = kernel.clock.now();
    let network = client.network();
    let by_network = ("recovery.network", network.as_str());
    if let Verdict::Denied(wait) = rate_limit::check(&*tx, &kernel.keys, now, limits.per_network, by_network).await? {
        return Err(RecoveryError::Throttled(wait));
    }
    let Some(email) = email else {
        tx.commit().await?;
        return Ok(());
    };
    let pair = format!("{network} {}", email.normalised());
    let by_address = ("recovery.address", pair.as_str());
    let allowed = rate_limit::check(&*tx, &kernel.keys, now, limits.per_address, by_address).await?.is_allowed();
    let user = users::find_by_email(&*tx, &email).await?.filter(User::is_active);
    if allowed {
        let validity = (now, now + limits.validity());
        let reset_id = store::insert(&*tx, user.as_ref(), kernel.keys.current(), validity).await?;
        jobs::enqueue(&tx, kernel.clock.as_ref(), &SendResetLink { reset_id }).await?;
    }
    let event = AuditEvent {
        action: "recovery.request",
        outcome: if allowed { Outcome::Success } else { Outcome::Failure },
        user_id: user.map(|user| user.id.0),
        client: Some(client),
        detail: json!({ "email": email.masked(), "throttled": !allowed }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    Ok(())
}

/// What the mail of a request is made of.
#[derive(Debug)]
pub struct ResetMail {
    /// Whom it goes to.
    pub user: User,
    /// The text behind `token=` in the link.
    pub token: String,
    /// The providers that a user without a password signs in with.
    pub providers: Vec<String>,
}

/// What to mail for a request; `None` when the address is nobody's or the link is no longer good.
///
/// # Errors
/// When the database fails.
pub async fn reset_mail(kernel: &Kernel, reset_id: ResetId) -> Result<Option<ResetMail>, DbErr> {
    let db = kernel.db.reader();
    let Some(reset) = store::find_live(db, reset_id, kernel.clock.now()).await? else { return Ok(None) };
    let Some(user) = owner(kernel, &reset).await? else { return Ok(None) };
    let mac = derive(&kernel.keys, &reset);
    let providers = providers(kernel, user.id).await?;
    Ok(mac.map(|mac| ResetMail { user, token: SignedId::new(reset.id.0, mac).to_text(), providers }))
}

/// How a user without a password signs in: the names of their providers.
async fn providers(kernel: &Kernel, user_id: UserId) -> Result<Vec<String>, DbErr> {
    let db = kernel.db.reader();
    if password::find(db, user_id).await?.is_some() {
        return Ok(Vec::new());
    }
    let linked = social::list(db, user_id, None, MAX_PROVIDERS).await?;
    let mut names: Vec<_> = linked.iter().map(|one| kernel.config.social.display_name(&one.provider)).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Whether a token could complete a reset now. Does not spend it.
///
/// # Errors
/// [`RecoveryError::InvalidToken`] when it could not, for whatever reason.
pub async fn validate(kernel: &Kernel, token: &str) -> Result<(), RecoveryError> {
    check(kernel, token).await.map(|_| ())
}

/// Sets a new password, ends everything the user holds and tells them. Opens no session.
///
/// # Errors
/// When the token is not good, the password is not accepted (the token then stays good), or the database fails.
pub async fn complete(
    kernel: &Kernel,
    hasher: &HashPool,
    client: &Client,
    token: &str,
    new_password: &str,
) -> Result<(), RecoveryError> {
    let (reset, user) = match check(kernel, token).await {
        Ok(found) => found,
        Err(RecoveryError::InvalidToken) => return refuse(kernel, client).await,
        Err(err) => return Err(err),
    };
    if let Some(email) = user.address() {
        domains::ensure_password_allowed(kernel, kernel.db.reader(), &email).await??;
    }
    password::validate_for(kernel, new_password, &user, "/password").await?;
    let overloaded = |err: Overloaded| RecoveryError::Password(PasswordError::from(err));
    let stored = hasher.reserve().map_err(overloaded)?.hash(new_password).await.map_err(overloaded)?;
    let tx = kernel.db.write_tx().await?;
    let now = kernel.clock.now();
    let is_spent = store::consume(&*tx, reset.id, now).await?;
    let auth_epoch = users::bump_epoch(&*tx, user.id, now).await?;
    // Someone else spent the link, or the epoch moved while the password was hashed.
    if !is_spent || auth_epoch != reset.auth_epoch + 1 {
        drop(tx);
        return refuse(kernel, client).await;
    }
    take_effect(kernel, &tx, client, (&user, auth_epoch), stored).await?;
    tx.commit().await?;
    Ok(())
}

/// Everything that a spent link brings about, in its transaction.
async fn take_effect(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    (user, auth_epoch): (&User, i64),
    stored: StoredPassword,
) -> Result<(), RecoveryError> {
    let now = kernel.clock.now();
    password::set(&**tx, user.id, stored, now).await?;
    // The link reached the address: that proves it. Whoever set something up before may not be its owner.
    if !user.is_verified() {
        social::remove_all(&**tx, user.id).await?;
        passkey::remove_all(&**tx, user.id).await?;
        two_factor::remove_all(tx, user.id).await?;
    }
    users::mark_verified(&**tx, user.id, now).await?;
    invites::accept_claimed(kernel, tx, client, user).await?;
    email_verification::cancel_all(tx, user.id, now).await?;
    sessions::settle(tx, user.id, None, auth_epoch, now).await?;
    devices::forget_all(tx, user.id, now).await?;
    let subject = Subject::of(&user.email_normalised, None);
    for authenticator in [Authenticator::Password, Authenticator::EmailCode] {
        lockout::enable(kernel, tx, client, subject, authenticator).await?;
    }
    let event = AuditEvent {
        action: "recovery.complete",
        outcome: Outcome::Success,
        user_id: Some(user.id.0),
        client: Some(client),
        detail: json!({ "was_verified": user.is_verified() }),
    };
    let audit_id = audit::record(&**tx, kernel.clock.as_ref(), event).await?;
    jobs::enqueue(tx, kernel.clock.as_ref(), &NotifyPasswordChanged { user_id: user.id, audit_id }).await?;
    Ok(())
}

/// Whether the user's password came by mail not long ago, so that a further mail would prove nothing more.
///
/// # Errors
/// When the database fails.
pub async fn was_completed_lately(kernel: &Kernel, tx: &Tx, user_id: UserId) -> Result<bool, DbErr> {
    let since = kernel.clock.now() - kernel.config.recovery.same_mailbox();
    store::was_completed(&**tx, user_id, since).await
}

/// Audits a token that was not good, and says nothing more than that.
async fn refuse(kernel: &Kernel, client: &Client) -> Result<(), RecoveryError> {
    let tx = kernel.db.write_tx().await?;
    let event = AuditEvent {
        action: "recovery.complete",
        outcome: Outcome::Failure,
        user_id: None,
        client: Some(client),
        detail: json!({ "reason": "invalid_token" }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    Err(RecoveryError::InvalidToken)
}

async fn check(kernel: &Kernel, token: &str) -> Result<(Model, User), RecoveryError> {
    let token = SignedId::parse(token).ok_or(RecoveryError::InvalidToken)?;
    let found = store::find_live(kernel.db.reader(), ResetId(token.id), kernel.clock.now()).await?;
    let reset = found.ok_or(RecoveryError::InvalidToken)?;
    if !token.is_signed_with(derive(&kernel.keys, &reset)) {
        return Err(RecoveryError::InvalidToken);
    }
    let user = owner(kernel, &reset).await?.ok_or(RecoveryError::InvalidToken)?;
    Ok((reset, user))
}

/// The user of a request, if they are active and their epoch has not moved since.
async fn owner(kernel: &Kernel, reset: &Model) -> Result<Option<User>, DbErr> {
    let Some(user_id) = reset.user_id else { return Ok(None) };
    let user = users::find(kernel.db.reader(), user_id).await?;
    Ok(user.filter(|user| user.is_active() && user.auth_epoch == reset.auth_epoch))
}

fn derive(keys: &Keyring, reset: &Model) -> Option<[u8; 32]> {
    let user_id = reset.user_id?;
    let parts: [&[u8]; 3] = [reset.id.0.as_bytes(), user_id.0.as_bytes(), &reset.auth_epoch.to_be_bytes()];
    keys.derive(&reset.key_id, "recovery.link", &parts)
}
