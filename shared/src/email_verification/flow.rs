//! Use cases: asking for proof, giving it, changing an address.

use sea_orm::DbErr;
use serde_json::json;

use super::{
    EmailVerificationError, SendVerification, VerificationId,
    entity::Model,
    store::{self, Request},
};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    clock::Timestamp,
    db::{self, Tx},
    domains, invites, jobs,
    kernel::Kernel,
    password::{self, StoredPassword},
    rate_limit::{self, Verdict},
    secret::{self, SignedId},
    sessions, social,
    users::{self, Email, NotifyEmailChanged, Side, User, UserId},
};

/// Asks for proof of `email` in the caller's transaction. `credentials` take effect with this proof and no other.
/// Without a user the same is written and nothing is sent.
///
/// # Errors
/// When the database fails.
pub async fn start(
    kernel: &Kernel,
    tx: &Tx,
    user_id: Option<UserId>,
    email: &Email,
    credentials: Option<StoredPassword>,
) -> Result<(), DbErr> {
    ask(kernel, tx, (user_id, email), None, credentials).await
}

async fn ask(
    kernel: &Kernel,
    tx: &Tx,
    (user_id, email): (Option<UserId>, &Email),
    previous_address: Option<String>,
    credentials: Option<StoredPassword>,
) -> Result<(), DbErr> {
    let now = kernel.clock.now();
    let config = &kernel.config.email_verification;
    // A change to a taken address is written like any other and answered alike, but nothing of it is ever mailed, and a
    // code that nobody got must not stand before the one that the address's owner got.
    let is_taken = previous_address.is_some() && users::find_by_email(&**tx, email).await?.is_some();
    let request = Request {
        user_id,
        email,
        previous_address,
        credentials,
        key_id: kernel.keys.current(),
        created_at: now,
        code_expires_at: if is_taken { now } else { now + config.code_validity() },
        link_expires_at: now + config.link_validity(),
    };
    let verification_id = store::insert(&**tx, request).await?;
    jobs::enqueue(tx, kernel.clock.as_ref(), &SendVerification { verification_id }).await?;
    Ok(())
}

/// Asks again for proof of an unverified user's address. Succeeds whatever the address is.
///
/// # Errors
/// When no mail can be sent at all or the database fails.
pub async fn resend(kernel: &Kernel, client: &Client, email: &str) -> Result<(), EmailVerificationError> {
    if !kernel.config.mail.is_available() {
        return Err(EmailVerificationError::EmailNotAvailable);
    }
    let Ok(email) = Email::parse(email) else { return Ok(()) };
    let tx = kernel.db.write_tx().await?;
    let is_allowed = within_limit(kernel, &tx, client, &email).await?;
    if is_allowed {
        let user = users::find_by_email(&*tx, &email).await?.filter(|user| user.is_active() && !user.is_verified());
        // To the address on record: what was typed may differ from it in case, and proof of that would prove another one.
        let on_record = user.as_ref().and_then(User::address);
        start(kernel, &tx, user.map(|user| user.id), on_record.as_ref().unwrap_or(&email), None).await?;
    }
    let event = AuditEvent {
        action: "email_verification.resend",
        outcome: if is_allowed { Outcome::Success } else { Outcome::Failure },
        user_id: None,
        client: Some(client),
        detail: json!({ "email": email.masked() }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    Ok(())
}

async fn within_limit(kernel: &Kernel, tx: &Tx, client: &Client, email: &Email) -> Result<bool, DbErr> {
    let pair = format!("{} {}", client.network(), email.normalised());
    let limit = kernel.config.email_verification.resend_per_address;
    let scope = ("email_verification.address", pair.as_str());
    rate_limit::check(&**tx, &kernel.keys, kernel.clock.now(), limit, scope).await.map(Verdict::is_allowed)
}

/// Asks for proof of a new address; the present one stays until then, and only the last address asked for can be
/// confirmed. Asking for the present address cancels a change that waits.
///
/// # Errors
/// When the address is malformed, its domain or the present one demands a provider, no mail can be sent, or the database fails.
pub async fn start_change(
    kernel: &Kernel,
    client: &Client,
    user: &User,
    email: &str,
) -> Result<(), EmailVerificationError> {
    let email = Email::parse(email).map_err(|_| EmailVerificationError::InvalidAddress)?;
    domains::ensure_change_allowed(kernel, kernel.db.reader(), (user.address().as_ref(), &email)).await??;
    let is_new = email.normalised() != user.email_normalised;
    if is_new && !kernel.config.mail.is_available() {
        return Err(EmailVerificationError::EmailNotAvailable);
    }
    let tx = kernel.db.write_tx().await?;
    let now = kernel.clock.now();
    store::cancel_changes(&*tx, user.id, now).await?;
    let is_asked = is_new && within_limit(kernel, &tx, client, &email).await?;
    if is_asked {
        ask(kernel, &tx, (Some(user.id), &email), Some(user.email.clone()), None).await?;
    }
    let until = now + kernel.config.email_verification.link_validity();
    users::set_pending_email(&*tx, user.id, is_asked.then_some((&email, until))).await?;
    let event = AuditEvent {
        action: "email_verification.start_change",
        outcome: Outcome::Success,
        user_id: Some(user.id.0),
        client: Some(client),
        detail: json!({ "email": email.masked(), "cancelled_only": !is_new }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    Ok(())
}

/// Voids everything that waits for this user's proof.
///
/// # Errors
/// When the database fails.
pub async fn cancel_all(tx: &Tx, user_id: UserId, now: Timestamp) -> Result<(), DbErr> {
    store::cancel_all(&**tx, user_id, now).await?;
    users::set_pending_email(&**tx, user_id, None).await
}

/// What the mail of a verification is made of.
#[derive(Debug)]
pub struct VerificationMail {
    /// The user whose address it would be.
    pub user: User,
    /// Where it goes: the address to be proven.
    pub to: String,
    /// The text behind `token=` in the link.
    pub token: String,
    /// Six digits.
    pub code: String,
    /// Whether it replaces another address.
    pub is_change: bool,
}

/// What to mail for a verification; `None` when it is void.
///
/// # Errors
/// When the database fails.
pub async fn verification_mail(kernel: &Kernel, id: VerificationId) -> Result<Option<VerificationMail>, DbErr> {
    let now = kernel.clock.now();
    let row = store::find(kernel.db.reader(), id).await?;
    let live = |row: &Model| row.used_at.is_none() && row.cancelled_at.is_none() && row.link_expires_at > now;
    let Some(row) = row.filter(live) else { return Ok(None) };
    let Some(user_id) = row.user_id else { return Ok(None) };
    if row.previous_address.is_some() && is_taken(kernel, &row).await? {
        return Ok(None);
    }
    let user = users::find(kernel.db.reader(), user_id).await?.filter(User::is_active);
    let (Some(user), Some(link), Some(code)) = (user, derive(kernel, &row, "link"), derive(kernel, &row, "code"))
    else {
        return Ok(None);
    };
    Ok(Some(VerificationMail {
        user,
        token: SignedId::new(row.id.0, link).to_text(),
        code: secret::six_digits(&code),
        is_change: row.previous_address.is_some(),
        to: row.address,
    }))
}

/// Whether the address to be proven is a user's by now: its owner gets no mail of a change that cannot happen.
async fn is_taken(kernel: &Kernel, row: &Model) -> Result<bool, DbErr> {
    match Email::parse(&row.address) {
        Ok(email) => users::find_by_email(kernel.db.reader(), &email).await.map(|owner| owner.is_some()),
        Err(_) => Ok(true),
    }
}

fn derive(kernel: &Kernel, row: &Model, form: &str) -> Option<[u8; 32]> {
    let user_id = row.user_id?;
    let parts: [&[u8]; 4] =
        [form.as_bytes(), row.id.0.as_bytes(), user_id.0.as_bytes(), row.address_normalised.as_bytes()];
    kernel.keys.derive(&row.key_id, "email_verification", &parts)
}

/// Who proved an address. Proof signs nobody in: what follows is an ordinary login.
#[derive(Debug)]
pub struct Confirmed {
    /// The user.
    pub user: User,
}

/// Takes the proof that a link is. A spent link of an address that is proven answers the same again.
///
/// # Errors
/// When the link is not good, for whatever reason, or the database fails.
pub async fn confirm_link(kernel: &Kernel, client: &Client, token: &str) -> Result<Confirmed, EmailVerificationError> {
    let Some(token) = SignedId::parse(token) else { return refuse(kernel, client).await };
    let row = store::find(kernel.db.reader(), VerificationId(token.id)).await?;
    let signed = |row: &Model| token.is_signed_with(derive(kernel, row, "link"));
    let Some(row) = row.filter(signed) else { return refuse(kernel, client).await };
    if row.used_at.is_some() {
        let user = users::find(kernel.db.reader(), row.user_id.unwrap_or(UserId(uuid::Uuid::nil()))).await?;
        let proven = |user: &User| user.is_verified() && user.email_normalised == row.address_normalised;
        return user.filter(proven).map(|user| Confirmed { user }).ok_or(EmailVerificationError::InvalidToken);
    }
    let tx = kernel.db.write_tx().await?;
    finish(kernel, tx, client, row).await
}

/// Takes the proof that a code is. Tries are counted before the code is compared.
///
/// # Errors
/// When the code is not good, for whatever reason, or the database fails.
pub async fn confirm_code(
    kernel: &Kernel,
    client: &Client,
    email: &str,
    code: &str,
) -> Result<Confirmed, EmailVerificationError> {
    let Ok(email) = Email::parse(email) else { return refuse(kernel, client).await };
    let tx = kernel.db.write_tx().await?;
    let max_attempts = kernel.config.email_verification.max_attempts;
    let row = store::reserve_attempt(&*tx, &email, max_attempts, kernel.clock.now()).await?;
    let typed: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    let right = row.filter(|row| {
        derive(kernel, row, "code")
            .is_some_and(|derived| secret::equal(secret::six_digits(&derived).as_bytes(), typed.as_bytes()))
    });
    let Some(row) = right else {
        tx.commit().await?;
        return refuse(kernel, client).await;
    };
    finish(kernel, tx, client, row).await
}

/// Spends the verification and does what it proves, in one transaction.
async fn finish(kernel: &Kernel, tx: Tx, client: &Client, row: Model) -> Result<Confirmed, EmailVerificationError> {
    let now = kernel.clock.now();
    let user = users::find(&*tx, row.user_id.unwrap_or(UserId(uuid::Uuid::nil()))).await?.filter(User::is_active);
    let Some(user) = user else { return refuse(kernel, client).await };
    if !store::consume(&*tx, row.id, now).await? {
        drop(tx);
        return refuse(kernel, client).await;
    }
    if row.previous_address.is_some() {
        // Either domain may demand a provider by now.
        let to = Email::parse(&row.address).map_err(|_| EmailVerificationError::InvalidToken)?;
        domains::ensure_change_allowed(kernel, &*tx, (user.address().as_ref(), &to)).await??;
        if let Err(err) = take_over(kernel, &tx, &user, &row).await {
            drop(tx);
            return if db::is_unique_violation(&err) { refuse(kernel, client).await } else { Err(err.into()) };
        }
    } else {
        users::mark_verified(&*tx, user.id, now).await?;
        if let (Some(phc), Some(key_id)) = (row.password_phc, row.password_key_id) {
            password::set(&*tx, user.id, StoredPassword { phc, key_id }, now).await?;
        }
        store::cancel_all(&*tx, user.id, now).await?;
    }
    let event = AuditEvent {
        action: "email_verification.confirm",
        outcome: Outcome::Success,
        user_id: Some(user.id.0),
        client: Some(client),
        detail: json!({ "is_change": row.previous_address.is_some() }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    let user = users::find(&*tx, user.id).await?.ok_or(EmailVerificationError::InvalidToken)?;
    invites::accept_claimed(kernel, &tx, client, &user).await?;
    tx.commit().await?;
    Ok(Confirmed { user })
}

/// A proven new address: it replaces the old one, everything the user holds ends, and both addresses are told.
async fn take_over(kernel: &Kernel, tx: &Tx, user: &User, row: &Model) -> Result<(), DbErr> {
    let now = kernel.clock.now();
    let email = Email::parse(&row.address).map_err(|err| DbErr::Custom(err.to_string()))?;
    users::change_email(&**tx, user.id, &email, now).await?;
    let auth_epoch = users::bump_epoch(&**tx, user.id, now).await?;
    sessions::settle(tx, user.id, None, auth_epoch, now).await?;
    social::settle_email_change(kernel, tx, user.id).await?;
    for side in [Side::Old, Side::New] {
        let notice = NotifyEmailChanged { user_id: user.id, verification_id: row.id.0, side };
        jobs::enqueue(tx, kernel.clock.as_ref(), &notice).await?;
    }
    Ok(())
}

/// Both addresses of a change that happened.
#[derive(Debug, PartialEq, Eq)]
pub struct ChangedAddresses {
    /// The address that was replaced.
    pub old: String,
    /// The address in force.
    pub new: String,
    /// When it happened.
    pub at: Timestamp,
}

/// Both addresses of a change; `None` when it did not happen.
///
/// # Errors
/// When the database fails.
pub async fn changed_addresses(kernel: &Kernel, id: uuid::Uuid) -> Result<Option<ChangedAddresses>, DbErr> {
    let Some(row) = store::find(kernel.db.reader(), VerificationId(id)).await? else { return Ok(None) };
    let (Some(old), Some(at)) = (row.previous_address, row.used_at) else { return Ok(None) };
    Ok(Some(ChangedAddresses { old, new: row.address, at }))
}

async fn refuse(kernel: &Kernel, client: &Client) -> Result<Confirmed, EmailVerificationError> {
    let tx = kernel.db.write_tx().await?;
    let event = AuditEvent {
        action: "email_verification.confirm",
        outcome: Outcome::Failure,
        user_id: None,
        client: Some(client),
        detail: json!({ "reason": "invalid_token" }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    Err(EmailVerificationError::InvalidToken)
}
