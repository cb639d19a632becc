//! The e-mail step: a code or a link, from the client that began the login.

use std::time::Duration;

use sea_orm::DbErr;
use serde_json::json;
use uuid::Uuid;

use super::{
    AnonymousClaim, SignedIn, ensure_still_allowed, find_bound, open, persons, refuse, reserve, start::Context,
};
use crate::{
    audit::{self, AuditEvent},
    client::Client,
    db::Tx,
    devices,
    email_mfa::{Attempt, SendLoginCode},
    enforcement::EMAIL_MFA,
    jobs,
    kernel::Kernel,
    lockout::{self, Authenticator},
    login::{
        LoginError, LoginId,
        entity::{FirstFactor, LoginState, Model},
        store,
    },
    rate_limit::{self, Verdict},
    recovery,
    secret::{Redacted, SignedId},
    sessions::{Proof, Transport},
    users::{self, User},
};

/// What the client offers as proof.
#[derive(Clone, Debug)]
pub enum EmailProof {
    /// The code, for this pending login.
    Code(LoginId, Redacted<String>),
    /// The token of the link.
    Link(Redacted<String>),
}

/// A wish to finish a login.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The proof.
    pub proof: EmailProof,
    /// The secret that binds the login to the client that began it.
    pub login_token: Redacted<String>,
    /// Whether this browser is to be trusted from now on.
    pub remember_device: bool,
}

/// Finishes a login with the mailed code or link.
///
/// # Errors
/// When the login is not this client's, has ended or expired, or the proof is wrong.
pub async fn complete_email_mfa(
    kernel: &Kernel,
    client: &Client,
    wish: Completion,
    context: &Context,
) -> Result<SignedIn, LoginError> {
    let now = kernel.clock.now();
    let link = match &wish.proof {
        EmailProof::Code(..) => None,
        EmailProof::Link(token) => Some(SignedId::parse(token.expose()).ok_or(LoginError::NotFound)?),
    };
    let id = match (&wish.proof, &link) {
        (EmailProof::Code(id, _), _) => *id,
        (EmailProof::Link(_), Some(link)) => LoginId(link.id),
        (EmailProof::Link(_), None) => return Err(LoginError::NotFound),
    };
    let pending = find_bound(kernel, (id, LoginState::EmailMfa), &wish.login_token).await?;
    let (reservation, _) = reserve(kernel, client, (&pending, Authenticator::EmailCode), context).await?;
    let tx = kernel.db.write_tx().await?;
    let max_attempts = kernel.config.email_mfa.max_attempts;
    let Some(pending) = store::reserve_attempt(&*tx, (pending.id, pending.state), max_attempts, now).await? else {
        lockout::give_back(kernel, &*tx, &reservation).await?;
        tx.commit().await?;
        // Another request ended it in between; what it is now says why.
        find_bound(kernel, (id, LoginState::EmailMfa), &wish.login_token).await?;
        return Err(LoginError::TooManyAttempts);
    };
    let attempt = attempt(&pending);
    let is_right = match (&wish.proof, &link) {
        (EmailProof::Code(_, code), _) => attempt.is_code(&kernel.keys, code.expose()),
        (EmailProof::Link(_), Some(link)) => attempt.is_link(&kernel.keys, link),
        (EmailProof::Link(_), None) => false,
    };
    if !is_right {
        lockout::fail(kernel, &tx, client, &reservation, Some(pending.user_id)).await?;
        return Err(refuse(kernel, tx, client, &pending, ("login.email_mfa", max_attempts)).await?);
    }
    lockout::succeed(kernel, &tx, &reservation).await?;
    finish(kernel, tx, client, (pending, wish.remember_device), context).await
}

fn attempt(pending: &Model) -> Attempt {
    Attempt {
        login_id: pending.id.0,
        send: pending.send,
        user_id: pending.user_id,
        auth_epoch: pending.auth_epoch,
        key_id: pending.key_id.clone(),
    }
}

async fn finish(
    kernel: &Kernel,
    tx: Tx,
    client: &Client,
    (pending, remember_device): (Model, bool),
    context: &Context,
) -> Result<SignedIn, LoginError> {
    let user = users::find(&*tx, pending.user_id).await?;
    let unchanged = |user: &User| user.is_active() && user.auth_epoch == pending.auth_epoch;
    let Some(user) = user.filter(unchanged) else { return Err(LoginError::Expired) };
    ensure_still_allowed(kernel, &tx, (&FirstFactor::read(&pending.first_factor), &user)).await?;
    if !store::finish(&*tx, (pending.id, pending.state), LoginState::Done, kernel.clock.now()).await? {
        return Err(LoginError::NotFound);
    }
    // A password that came by mail and a code that came by mail are one proof, of the mailbox.
    let is_same_mailbox = recovery::was_completed_lately(kernel, &tx, user.id).await?;
    let device = if remember_device && !is_same_mailbox {
        let previous = context.device_token.as_ref().map(|token| token.expose().as_str());
        devices::trust(kernel, &tx, client, (&user, EMAIL_MFA), previous).await?
    } else {
        None
    };
    let transport = if pending.is_token_transport { Transport::Token } else { Transport::Cookie };
    let proof = Proof::of(if is_same_mailbox { vec!["email"] } else { vec!["pwd", "email"] });
    let mut signed_in = open(kernel, &tx, client, (user, context), (proof, transport)).await?;
    signed_in.device = device;
    persons::publish(kernel, &tx, AnonymousClaim::kept_with(&pending).as_ref(), &signed_in).await?;
    tx.commit().await?;
    Ok(signed_in)
}

/// Sends a further code; the earlier one is void from now on.
///
/// # Errors
/// When the login is not this client's or has ended, or when it is too early for a further send.
pub async fn resend_email_mfa(
    kernel: &Kernel,
    client: &Client,
    (login_id, login_token): (LoginId, Redacted<String>),
) -> Result<(), LoginError> {
    let pending = find_bound(kernel, (login_id, LoginState::EmailMfa), &login_token).await?;
    let now = kernel.clock.now();
    let pause = Duration::from_secs(kernel.config.email_mfa.resend_after_seconds);
    let tx = kernel.db.write_tx().await?;
    let Some(pending) = store::next_send(&*tx, pending.id, now - pause, now).await? else {
        return Err(LoginError::Throttled((pending.sent_at + pause).since(now)));
    };
    let per_user = pending.user_id.to_string();
    let limit = kernel.config.email_mfa.per_user;
    let verdict = rate_limit::check(&*tx, &kernel.keys, now, limit, ("email_mfa.user", &per_user)).await?;
    if let Verdict::Denied(wait) = verdict {
        return Err(LoginError::Throttled(wait));
    }
    let job = SendLoginCode { login_id: pending.id.0, send: pending.send };
    jobs::enqueue(&tx, kernel.clock.as_ref(), &job).await?;
    let event = AuditEvent {
        action: "email_mfa.resend",
        outcome: audit::Outcome::Success,
        user_id: Some(pending.user_id.0),
        client: Some(client),
        detail: json!({ "login_id": pending.id }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    Ok(())
}

/// What the mail of a pending login is made of.
#[derive(Debug)]
pub struct LoginCodeMail {
    /// Whom it goes to.
    pub user: User,
    /// Six digits.
    pub code: String,
    /// The text behind `token=` in the link.
    pub token: String,
    /// Where the login began.
    pub ip: String,
    /// With what.
    pub user_agent: Option<String>,
    /// When.
    pub at: crate::clock::Timestamp,
}

/// What to mail for this send; `None` when the login has ended, expired or a later send is in force.
///
/// # Errors
/// When the database fails.
pub async fn login_code_mail(kernel: &Kernel, login_id: Uuid, send: i32) -> Result<Option<LoginCodeMail>, DbErr> {
    let now = kernel.clock.now();
    let pending = store::find(kernel.db.reader(), LoginId(login_id)).await?;
    let live = |row: &Model| row.state == LoginState::EmailMfa && row.send == send && row.expires_at > now;
    let Some(pending) = pending.filter(live) else { return Ok(None) };
    let user = users::find(kernel.db.reader(), pending.user_id).await?;
    let user = user.filter(|user| user.is_active() && user.auth_epoch == pending.auth_epoch);
    let attempt = attempt(&pending);
    let (Some(user), Some(code), Some(token)) =
        (user, attempt.code(&kernel.keys), attempt.link_token(&kernel.keys).map(|token| token.to_text()))
    else {
        return Ok(None);
    };
    let (ip, user_agent, at) = (pending.ip, pending.user_agent, pending.created_at);
    Ok(Some(LoginCodeMail { user, code, token, ip, user_agent, at }))
}
