//! Use cases: adding, renaming and removing passkeys, and proving to be the owner of one.

use sea_orm::DbErr;
use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rs::prelude::{
    Credential, DiscoverableAuthentication, Passkey, PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, WebauthnError,
};

use super::{
    CeremonyId, Challenge, NotifyPasskeyAdded, NotifyPasskeyCloned, NotifyPasskeyRemoved, PasskeyError, PasskeyId,
    StoredPasskey,
    ceremony::{self, Candidate, Holder, State},
    entity, store,
};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    clock::Timestamp,
    db::{self, Tx},
    domains, jobs,
    kernel::Kernel,
    password,
    rate_limit::{self, Verdict},
    secret::{self, Redacted},
    users::{User, UserId},
};

/// What a passkey is called that was given no label.
const LABEL: &str = "Passkey";

/// The answer to a challenge of a registration.
#[derive(Clone, Debug)]
pub struct RegistrationAnswer {
    /// The challenge.
    pub ceremony_id: CeremonyId,
    /// `RegistrationResponseJSON`, and in the second step `AuthenticationResponseJSON`.
    pub credential: Value,
    /// What the user calls the passkey, with the first answer.
    pub label: Option<String>,
}

/// What an answer of a registration leads to.
#[derive(Debug)]
pub enum Registered {
    /// The new credential has to answer this, too.
    VerificationRequired(Challenge),
    /// The passkey is there.
    Created(Box<StoredPasskey>),
}

/// A challenge of a sign-in.
#[derive(Debug)]
pub struct LoginChallenge {
    /// The challenge.
    pub challenge: Challenge,
    /// The secret that binds it to this client.
    pub ceremony_token: Redacted<String>,
}

/// The answer to a challenge of a sign-in.
#[derive(Clone, Debug)]
pub struct LoginAnswer {
    /// The challenge.
    pub ceremony_id: CeremonyId,
    /// The secret that binds it to this client.
    pub ceremony_token: Redacted<String>,
    /// `AuthenticationResponseJSON`.
    pub credential: Value,
}

/// A passkey that proved to be there, with its user verified by the authenticator.
#[derive(Debug)]
pub struct Assertion {
    before: StoredPasskey,
    after: StoredPasskey,
    /// Whether the session will be a bearer token.
    pub is_token_transport: bool,
}

impl Assertion {
    /// Whose passkey it is.
    #[must_use]
    pub fn user_id(&self) -> UserId {
        self.before.user_id
    }

    /// RFC 8176: a key bound to hardware or one that is synchronised, with its user verified, which is two factors.
    #[must_use]
    pub fn amr(&self) -> Vec<&'static str> {
        vec![if self.after.is_backup_eligible { "swk" } else { "hwk" }, "user", "mfa"]
    }
}

fn ensure_allowed(kernel: &Kernel, user: &User) -> Result<(), PasskeyError> {
    match user.address() {
        Some(email) => Ok(domains::ensure_password_allowed(&kernel.config.domains, &email)?),
        None => Ok(()),
    }
}

/// Makes a challenge for a new passkey of `user`, who proved lately who they are, in this session.
///
/// # Errors
/// When the user may not have another passkey, or the installation has no domain name.
pub async fn start_registration(kernel: &Kernel, user: &User, session_id: Uuid) -> Result<Challenge, PasskeyError> {
    ensure_allowed(kernel, user)?;
    let held = store::of_user(kernel.db.reader(), user.id).await?;
    ensure_room(kernel, held.len())?;
    let random = || uuid::Builder::from_random_bytes(secret::random_bytes()).into_uuid();
    let user_handle = held.first().map_or_else(random, |passkey| passkey.user_handle);
    let exclude = held.into_iter().map(|passkey| passkey.credential_id).collect();
    let names = [user.first_name.as_deref(), user.last_name.as_deref()];
    let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let display_name = if name.is_empty() { user.email.as_str() } else { name.as_str() };
    let (response, challenge) = ceremony::relying_party(kernel)?
        .start_passkey_registration(user_handle, &user.email, display_name, Some(exclude))
        .map_err(PasskeyError::Challenge)?;
    let state = State::Registration { challenge, user_handle };
    let holder = Holder { user_id: Some(user.id), secret: &session_id.to_string() };
    ceremony::keep(kernel, holder, &state, ceremony::creation_options(&response)?).await
}

fn ensure_room(kernel: &Kernel, held: usize) -> Result<(), PasskeyError> {
    let most = usize::try_from(kernel.config.passkey.max_per_user).unwrap_or(usize::MAX);
    if held >= most { Err(PasskeyError::TooMany) } else { Ok(()) }
}

/// Takes an answer of a registration: the first one brings the new credential, the second one proves that it works.
///
/// # Errors
/// When the challenge is not this session's, or its answer does not verify; nothing is stored then.
pub async fn register(
    kernel: &Kernel,
    client: &Client,
    (user, session_id): (&User, Uuid),
    answer: RegistrationAnswer,
) -> Result<Registered, PasskeyError> {
    ensure_allowed(kernel, user)?;
    let label = entity::label(answer.label.as_deref().unwrap_or(LABEL))?;
    let session = session_id.to_string();
    let holder = Holder { user_id: Some(user.id), secret: &session };
    let done = match ceremony::take(kernel, holder, answer.ceremony_id).await? {
        State::Registration { challenge, user_handle } => {
            accept(kernel, holder, (&challenge, user_handle), answer.credential, label).await
        }
        State::Verification { challenge, candidate } => {
            verify(kernel, client, user, (&challenge, candidate), answer.credential).await
        }
        State::Login { .. } => Err(PasskeyError::CeremonyNotFound),
    };
    if matches!(done, Err(PasskeyError::Rejected | PasskeyError::Exists)) {
        let tx = kernel.db.write_tx().await?;
        let event = event(client, ("passkey.add", Outcome::Failure), Some(user.id), json!({}));
        audit::record(&*tx, kernel.clock.as_ref(), event).await?;
        tx.commit().await?;
    }
    done
}

/// Checks a new credential and asks it for an assertion.
async fn accept(
    kernel: &Kernel,
    holder: Holder<'_>,
    (challenge, user_handle): (&PasskeyRegistration, Uuid),
    answer: Value,
    label: String,
) -> Result<Registered, PasskeyError> {
    let rp = ceremony::relying_party(kernel)?;
    let transports = ceremony::transports(&answer);
    let answer: RegisterPublicKeyCredential = ceremony::read(answer)?;
    let passkey = rp.finish_passkey_registration(&answer, challenge).map_err(|_| PasskeyError::Rejected)?;
    if passkey.cred_id().as_slice() != answer.raw_id.as_slice() {
        return Err(PasskeyError::Rejected);
    }
    if store::find_credential(kernel.db.reader(), passkey.cred_id().as_slice()).await?.is_some() {
        return Err(PasskeyError::Exists);
    }
    let (response, challenge) =
        rp.start_passkey_authentication(std::slice::from_ref(&passkey)).map_err(PasskeyError::Challenge)?;
    let candidate = Box::new(Candidate { passkey, user_handle, label, transports });
    let state = State::Verification { challenge, candidate };
    let challenge = ceremony::keep(kernel, holder, &state, ceremony::request_options(&response)?).await?;
    Ok(Registered::VerificationRequired(challenge))
}

/// Checks the first assertion of a new credential and stores it.
async fn verify(
    kernel: &Kernel,
    client: &Client,
    user: &User,
    (challenge, mut candidate): (&PasskeyAuthentication, Box<Candidate>),
    answer: Value,
) -> Result<Registered, PasskeyError> {
    let rp = ceremony::relying_party(kernel)?;
    let answer: PublicKeyCredential = ceremony::read(answer)?;
    let is_handle = answer.get_user_unique_id().is_none_or(|handle| handle == candidate.user_handle.as_bytes());
    let proven = rp.finish_passkey_authentication(&answer, challenge).map_err(|_| PasskeyError::Rejected)?;
    let created = Credential::from(candidate.passkey.clone());
    if !is_handle || proven.backup_eligible() != created.backup_eligible {
        return Err(PasskeyError::Rejected);
    }
    candidate.passkey.update_credential(&proven);
    let now = kernel.clock.now();
    let row = StoredPasskey {
        id: PasskeyId::next(),
        user_id: user.id,
        user_handle: candidate.user_handle,
        credential_id: candidate.passkey.cred_id().clone(),
        credential: serde_json::to_string(&candidate.passkey)?,
        label: candidate.label,
        transports: candidate.transports,
        sign_count: i64::from(proven.counter()),
        is_backup_eligible: proven.backup_eligible(),
        is_backed_up: proven.backup_state(),
        created_at: now,
        last_used_at: None,
    };
    let tx = kernel.db.write_tx().await?;
    ensure_room(kernel, store::of_user(&*tx, user.id).await?.len())?;
    if let Err(err) = store::insert(&*tx, row.clone()).await {
        return Err(if db::is_unique_violation(&err) { PasskeyError::Exists } else { err.into() });
    }
    let event = event(client, ("passkey.add", Outcome::Success), Some(user.id), json!({ "passkey_id": row.id }));
    let audit_id = audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    jobs::enqueue(&tx, kernel.clock.as_ref(), &NotifyPasskeyAdded { user_id: user.id, audit_id }).await?;
    tx.commit().await?;
    Ok(Registered::Created(Box::new(row)))
}

/// Renames a passkey of `user`.
///
/// # Errors
/// When the label does not validate or the passkey is not this user's.
pub async fn rename(
    kernel: &Kernel,
    client: &Client,
    user_id: UserId,
    id: PasskeyId,
    text: &str,
) -> Result<StoredPasskey, PasskeyError> {
    let label = entity::label(text)?;
    let tx = kernel.db.write_tx().await?;
    if !store::set_label(&*tx, user_id, id, &label).await? {
        return Err(PasskeyError::NotFound);
    }
    let row = store::find(&*tx, user_id, id).await?.ok_or(PasskeyError::NotFound)?;
    let event = event(client, ("passkey.rename", Outcome::Success), Some(user_id), json!({ "passkey_id": id }));
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    Ok(row)
}

/// Removes a passkey of `user`, who proved lately who they are.
///
/// # Errors
/// When the passkey is not this user's, or nothing would be left to sign in with.
pub async fn remove(kernel: &Kernel, client: &Client, user_id: UserId, id: PasskeyId) -> Result<(), PasskeyError> {
    let tx = kernel.db.write_tx().await?;
    let held = store::lock_of_user(&*tx, user_id).await?;
    if !held.iter().any(|passkey| passkey.id == id) {
        return Err(PasskeyError::NotFound);
    }
    if held.len() == 1 && password::find(&*tx, user_id).await?.is_none() {
        return Err(PasskeyError::LastMethod);
    }
    store::delete(&*tx, user_id, id).await?;
    let event = event(client, ("passkey.remove", Outcome::Success), Some(user_id), json!({ "passkey_id": id }));
    let audit_id = audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    jobs::enqueue(&tx, kernel.clock.as_ref(), &NotifyPasskeyRemoved { user_id, audit_id }).await?;
    tx.commit().await?;
    Ok(())
}

/// Makes a challenge that any passkey of this installation may answer.
///
/// # Errors
/// When the client's network has begun too many, or the installation has no domain name.
pub async fn start_login(
    kernel: &Kernel,
    client: &Client,
    ceremony_token: Option<Redacted<String>>,
    is_token_transport: bool,
) -> Result<LoginChallenge, PasskeyError> {
    let (network, limit) = (client.network(), kernel.config.passkey.starts_per_network);
    let scope = ("passkey.network", network.as_str());
    let verdict = rate_limit::check(kernel.db.writer(), &kernel.keys, kernel.clock.now(), limit, scope).await?;
    if let Verdict::Denied(wait) = verdict {
        return Err(PasskeyError::Throttled(wait));
    }
    let (response, challenge) =
        ceremony::relying_party(kernel)?.start_discoverable_authentication().map_err(PasskeyError::Challenge)?;
    // Two pages of one browser share a cookie: the second start must not void the first one's.
    let ceremony_token = ceremony_token.unwrap_or_else(|| secret::mint("gppk_"));
    let holder = Holder { user_id: None, secret: ceremony_token.expose() };
    let state = State::Login { challenge, is_token_transport };
    let challenge = ceremony::keep(kernel, holder, &state, ceremony::request_options(&response)?).await?;
    Ok(LoginChallenge { challenge, ceremony_token })
}

/// Checks the answer to a challenge of a sign-in. Who the owner is, and whether they may sign in, is for the caller.
///
/// # Errors
/// When the challenge is not this client's, or its answer does not verify.
pub async fn finish_login(kernel: &Kernel, client: &Client, answer: LoginAnswer) -> Result<Assertion, PasskeyError> {
    let holder = Holder { user_id: None, secret: answer.ceremony_token.expose() };
    let state = ceremony::take(kernel, holder, answer.ceremony_id).await?;
    let State::Login { challenge, is_token_transport } = state else { return Err(PasskeyError::CeremonyNotFound) };
    let Ok(credential) = ceremony::read::<PublicKeyCredential>(answer.credential) else {
        return refuse(kernel, client, None, "malformed").await;
    };
    let found = store::find_credential(kernel.db.reader(), credential.get_credential_id()).await?;
    let Some(before) = found else { return refuse(kernel, client, None, "unknown").await };
    if credential.get_user_unique_id() != Some(before.user_handle.as_bytes()) {
        return refuse(kernel, client, Some(&before), "user_handle").await;
    }
    match judge(kernel, challenge, &credential, &before)? {
        Ok(after) => Ok(Assertion { before, after, is_token_transport }),
        Err(reason) => refuse(kernel, client, Some(&before), reason).await,
    }
}

/// The passkey as it is after its assertion, or why that is refused.
fn judge(
    kernel: &Kernel,
    challenge: DiscoverableAuthentication,
    credential: &PublicKeyCredential,
    before: &StoredPasskey,
) -> Result<Result<StoredPasskey, &'static str>, PasskeyError> {
    let mut passkey: Passkey = serde_json::from_str(&before.credential)?;
    let rp = ceremony::relying_party(kernel)?;
    let proven = match rp.finish_discoverable_authentication_v2(credential, challenge, &passkey) {
        Ok(proven) => proven,
        // The signature was right: somebody has the key.
        Err(WebauthnError::CredentialPossibleCompromise) => return Ok(Err(SIGN_COUNT)),
        Err(_) => return Ok(Err("assertion")),
    };
    if proven.backup_eligible() != before.is_backup_eligible || !proven.user_verified() {
        return Ok(Err("flags"));
    }
    passkey.update_credential(&proven);
    let mut after = before.clone();
    after.credential = serde_json::to_string(&passkey)?;
    after.sign_count = i64::from(proven.counter());
    after.is_backed_up = proven.backup_state();
    Ok(Ok(after))
}

/// The reason that tells of a copied key.
const SIGN_COUNT: &str = "sign_count";

/// Audits a refused assertion, and tells the owner when their key seems to be copied.
async fn refuse(
    kernel: &Kernel,
    client: &Client,
    passkey: Option<&StoredPasskey>,
    reason: &'static str,
) -> Result<Assertion, PasskeyError> {
    let tx = kernel.db.write_tx().await?;
    let detail = json!({ "passkey_id": passkey.map(|passkey| passkey.id), "reason": reason });
    let user_id = passkey.map(|passkey| passkey.user_id);
    let event = event(client, ("passkey.assert", Outcome::Failure), user_id, detail);
    let audit_id = audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    if let Some(user_id) = user_id.filter(|_| reason == SIGN_COUNT) {
        jobs::enqueue(&tx, kernel.clock.as_ref(), &NotifyPasskeyCloned { user_id, audit_id }).await?;
    }
    tx.commit().await?;
    Err(PasskeyError::Rejected)
}

/// Takes over what the assertion brought, in the transaction of what it allows. False when another one was quicker.
///
/// # Errors
/// When the database fails.
pub async fn record_use(tx: &Tx, assertion: &Assertion, now: Timestamp) -> Result<bool, DbErr> {
    store::record_use(&**tx, (&assertion.before, &assertion.after), now).await
}

fn event<'a>(
    client: &'a Client,
    (action, outcome): (&'static str, Outcome),
    user_id: Option<UserId>,
    detail: Value,
) -> AuditEvent<'a> {
    AuditEvent { action, outcome, user_id: user_id.map(|id| id.0), client: Some(client), detail }
}
