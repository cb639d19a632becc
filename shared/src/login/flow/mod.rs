//! Use cases of a login: the password, the provider, the second factor, the mailed code or link, the passkey; and what they
//! share.

mod break_glass;
mod email_mfa;
mod persons;
mod social;
mod start;
mod two_factor;

pub use email_mfa::{Completion, EmailProof, LoginCodeMail, complete_email_mfa, login_code_mail, resend_email_mfa};
pub use persons::AnonymousClaim;
use sea_orm::{ActiveValue::Set, DbErr};
use serde_json::json;
pub use social::finish_social;
pub use start::{Attempt, Context, Outcome, PendingStep, start};
use start::{ask_for_proof, audit_stop, trusted_method};
pub use two_factor::{
    TwoFactorCompletion, TwoFactorStep, complete_two_factor, start_two_factor_passkey, two_factor_methods,
};

use crate::{
    audit::{self, AuditEvent},
    client::Client,
    clock::Timestamp,
    db::Tx,
    devices::{self, NotifyNewDevice, Trusted},
    domains, jobs,
    kernel::Kernel,
    lockout::{self, Authenticator, LockoutError, Reservation, Subject},
    login::{
        LoginError, LoginId,
        entity::{ActiveModel, FirstFactor, LoginState, Model},
        store,
    },
    passkey::{self, Claimed, LoginAnswer, PasskeyError, Refused},
    precheck,
    secret::{self, Redacted},
    sessions::{self, Opened, Proof, Transport},
    users::{self, User, UserId},
};

/// A finished login.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub user: User,
    /// Their session.
    pub session: Opened,
    /// How they keep it.
    pub transport: Transport,
    /// The trust that this browser was given, if it was asked for.
    pub device: Option<Trusted>,
    /// What the browser is known by from now on.
    pub known_token: Option<Redacted<String>>,
}

/// Opens the session in the caller's transaction. The session that the request carried, whoever's it is, ends: its id
/// never survives a login (fixation), and nothing of another user's session is left. The client's failures are forgotten,
/// and a device that the user never used before is told to them.
async fn open(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    (user, context): (User, &Context),
    (proof, transport): (Proof, Transport),
) -> Result<SignedIn, DbErr> {
    let live = context.live.as_ref();
    if let Some(live) = live {
        sessions::revoke(&**tx, live.user.id, live.session_id, kernel.clock.now()).await?;
    }
    let session = sessions::open(kernel, tx, client, &user, proof).await?;
    let is_reauthentication = live.is_some_and(|live| live.user.id == user.id);
    let keeps_cookies = transport == Transport::Cookie;
    let presented = context.known_token.as_ref();
    let recognition = devices::recognise(kernel, tx, client, &user, (presented, keeps_cookies)).await?;
    let mut detail = json!({
        "session_id": session.id,
        "amr": session.amr,
        "is_reauthentication": is_reauthentication,
    });
    let is_to_be_told = recognition.is_unknown && !is_reauthentication;
    if let Some(members) = detail.as_object_mut().filter(|_| is_to_be_told) {
        members.insert("notice".to_owned(), devices::notice_detail(&kernel.keys, &user));
    }
    let event = AuditEvent {
        action: "login.sign_in",
        outcome: audit::Outcome::Success,
        user_id: Some(user.id.0),
        client: Some(client),
        detail,
    };
    let audit_id = audit::record(&**tx, kernel.clock.as_ref(), event).await?;
    if is_to_be_told {
        jobs::enqueue(tx, kernel.clock.as_ref(), &NotifyNewDevice { user_id: user.id, audit_id }).await?;
    }
    let device = known_device(kernel, &user.email_normalised, context).await?;
    let subject = Subject::of(&user.email_normalised, device.as_deref());
    lockout::forget(kernel, tx, client, subject).await?;
    let signed_in = SignedIn { user, session, transport, device: None, known_token: recognition.cookie };
    persons::publish(kernel, tx, context.claim.as_ref(), &signed_in).await?;
    Ok(signed_in)
}

/// The device of the request, if it signed in to this account before.
async fn known_device(kernel: &Kernel, account: &str, context: &Context) -> Result<Option<Vec<u8>>, DbErr> {
    devices::find_known(kernel, account, context.known_token.as_ref()).await
}

/// Counts a try of a further step among those of the account, whatever they try. Returns the device too, if it signed in
/// before.
async fn reserve(
    kernel: &Kernel,
    client: &Client,
    (pending, authenticator): (&Model, Authenticator),
    context: &Context,
) -> Result<(Reservation, Option<Vec<u8>>), LoginError> {
    let user = users::find(kernel.db.reader(), pending.user_id).await?.ok_or(LoginError::NotFound)?;
    let device = known_device(kernel, &user.email_normalised, context).await?;
    let subject = Subject::of(&user.email_normalised, device.as_deref());
    let reservation = lockout::reserve(kernel, client, subject, authenticator).await?;
    Ok((reservation, device))
}

/// Signs the owner of a passkey in: no address and no password, and what holds of users is asked of the owner. The
/// authenticator verified its user, so no further step follows.
///
/// # Errors
/// When the answer does not verify, or its owner may not sign in this way.
pub async fn finish_passkey(
    kernel: &Kernel,
    client: &Client,
    answer: LoginAnswer,
    context: &Context,
) -> Result<Outcome, LoginError> {
    let claim = match passkey::claim_login(kernel, client, answer).await? {
        Claimed::Passkey(claim) => *claim,
        Claimed::Unknown(id) => return refuse_unknown(kernel, client, &id).await,
    };
    let user = users::find(kernel.db.reader(), claim.user_id()).await?.ok_or(PasskeyError::Rejected)?;
    let device = known_device(kernel, &user.email_normalised, context).await?;
    let subject = Subject::of(&user.email_normalised, device.as_deref());
    let reserved = lockout::reserve(kernel, client, subject, Authenticator::Passkey).await;
    let assertion = match passkey::prove(kernel, claim)? {
        Ok(assertion) => assertion,
        Err(refused) => return refuse_passkey(kernel, client, (Some(reserved), Some(user.id)), &refused).await,
    };
    // Whoever has the key may learn that it is held off.
    let reservation = reserved?;
    if !user.is_active() {
        audit_stop(kernel, client, &user, "disabled", Some(&reservation)).await?;
        return Err(PasskeyError::Rejected.into());
    }
    if let Some(email) = user.address()
        && let Err(enforced) = domains::ensure_password_allowed(kernel, kernel.db.reader(), &email).await?
    {
        audit_stop(kernel, client, &user, "sso_enforced", Some(&reservation)).await?;
        return Err(enforced.into());
    }
    if !user.is_verified() && kernel.config.mail.is_available() {
        return ask_for_proof(kernel, client, &user, Some(&reservation)).await;
    }
    let tx = kernel.db.write_tx().await?;
    if !passkey::record_use(&tx, &assertion, kernel.clock.now()).await? {
        return Err(PasskeyError::Rejected.into());
    }
    lockout::succeed(kernel, &tx, &reservation).await?;
    let transport = if assertion.is_token_transport { Transport::Token } else { Transport::Cookie };
    let proof = Proof::of(assertion.amr().to_vec());
    let signed_in = open(kernel, &tx, client, (user, context), (proof, transport)).await?;
    tx.commit().await?;
    Ok(Outcome::SignedIn(Box::new(signed_in)))
}

/// An answer that proves nothing counts as a failure of the owner's account. It is refused in the same way when that has
/// failed too often, or the ids of passkeys could be told from those that stand in their place.
async fn refuse_passkey(
    kernel: &Kernel,
    client: &Client,
    (reserved, user_id): (Option<Result<Reservation, LockoutError>>, Option<UserId>),
    refused: &Refused,
) -> Result<Outcome, LoginError> {
    let reservation = match reserved {
        Some(Err(LockoutError::Database(err))) => return Err(err.into()),
        reserved => reserved.and_then(Result::ok),
    };
    let tx = kernel.db.write_tx().await?;
    passkey::record_refusal(kernel, &tx, client, refused).await?;
    if let Some(reservation) = reservation {
        lockout::fail(kernel, &tx, client, &reservation, user_id).await?;
    }
    tx.commit().await?;
    Err(PasskeyError::Rejected.into())
}

/// What names a decoy counts like what names a passkey of its address.
async fn refuse_unknown(kernel: &Kernel, client: &Client, credential_id: &[u8]) -> Result<Outcome, LoginError> {
    let reserved = match precheck::marked(&kernel.keys, credential_id).map(Subject::decoy) {
        Some(subject) => Some(lockout::reserve(kernel, client, subject, Authenticator::Passkey).await),
        None => None,
    };
    refuse_passkey(kernel, client, (reserved, None), &Refused::unknown()).await
}

/// A new row of a login that waits, its id and the secret that binds it to this client.
fn pending(
    kernel: &Kernel,
    client: &Client,
    (user, claim): (&User, Option<&AnonymousClaim>),
    (waits_for, transport, first_factor): (LoginState, Transport, &FirstFactor),
    expires_at: Timestamp,
) -> (ActiveModel, LoginId, Redacted<String>) {
    let now = kernel.clock.now();
    let id = LoginId::next();
    let login_token = secret::mint("gplt_");
    let row = ActiveModel {
        id: Set(id),
        user_id: Set(user.id),
        auth_epoch: Set(user.auth_epoch),
        state: Set(waits_for),
        binding: Set(secret::digest(login_token.expose())),
        is_token_transport: Set(transport == Transport::Token),
        key_id: Set(kernel.keys.current().to_owned()),
        send: Set(1),
        sent_at: Set(now),
        attempts: Set(0),
        ip: Set(client.ip.to_string()),
        user_agent: Set(client.user_agent.clone()),
        first_factor: Set(first_factor.to_text()),
        created_at: Set(now),
        expires_at: Set(expires_at),
        finished_at: Set(None),
        project_token: Set(claim.map(|claim| claim.project_token.clone())),
        anonymous_distinct_id: Set(claim.map(|claim| claim.anonymous_distinct_id.clone())),
    };
    (row, id, login_token)
}

/// The login that waits for this step, if this client began it.
async fn find_bound(
    kernel: &Kernel,
    (id, waits_for): (LoginId, LoginState),
    login_token: &Redacted<String>,
) -> Result<Model, LoginError> {
    let pending = store::find(kernel.db.reader(), id).await?.ok_or(LoginError::NotFound)?;
    if !secret::equal(&pending.binding, &secret::digest(login_token.expose())) {
        return Err(LoginError::NotFound);
    }
    match pending.state {
        LoginState::Dead => Err(LoginError::TooManyAttempts),
        state if state != waits_for => Err(LoginError::NotFound),
        LoginState::Done => Err(LoginError::NotFound),
        LoginState::EmailMfa | LoginState::TwoFactor if pending.expires_at <= kernel.clock.now() => {
            Err(LoginError::Expired)
        }
        LoginState::EmailMfa | LoginState::TwoFactor => Ok(pending),
    }
}

/// Refuses the end of a login that began in a way that is none where the domain demands a provider by now. A code that stood
/// in for that provider was spent for this login.
async fn ensure_still_allowed(
    kernel: &Kernel,
    tx: &Tx,
    (first_factor, user): (&FirstFactor, &User),
) -> Result<(), LoginError> {
    let Some(email) = user.address() else { return Ok(()) };
    match first_factor {
        FirstFactor::Password => domains::ensure_password_allowed(kernel, &**tx, &email).await??,
        FirstFactor::Provider(name) => domains::ensure_provider_allowed(kernel, &**tx, (&email, name)).await??,
        FirstFactor::BreakGlass => {}
    }
    Ok(())
}

/// Keeps the count of the wrong code, and ends the attempt with the last one. Returns what to answer.
async fn refuse(
    kernel: &Kernel,
    tx: Tx,
    client: &Client,
    pending: &Model,
    (action, max_attempts): (&'static str, i32),
) -> Result<LoginError, DbErr> {
    let is_last = pending.attempts >= max_attempts;
    if is_last {
        store::finish(&*tx, (pending.id, pending.state), LoginState::Dead, kernel.clock.now()).await?;
    }
    let event = AuditEvent {
        action,
        outcome: audit::Outcome::Failure,
        user_id: Some(pending.user_id.0),
        client: Some(client),
        detail: json!({ "login_id": pending.id, "attempts": pending.attempts }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    Ok(if is_last { LoginError::TooManyAttempts } else { LoginError::InvalidCode })
}
