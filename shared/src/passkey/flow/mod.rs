//! Use cases: adding, renaming and removing passkeys; proving to be the owner of one is in `assertion`.

mod assertion;

pub use assertion::{
    Assertion, Claim, Claimed, LoginAnswer, LoginChallenge, Refused, SecondFactorAnswer, claim_login, prove,
    record_refusal, record_use, start_login, start_second_factor, verify_second_factor,
};
use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rs::prelude::{
    Credential, DiscoverableAuthentication, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential,
};

use super::{
    CeremonyId, Challenge, NotifyPasskeyAdded, NotifyPasskeyRemoved, PasskeyError, PasskeyId, StoredPasskey,
    ceremony::{self, Candidate, Holder, State},
    entity, store,
};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    db::{self, Tx},
    domains, eddsa, jobs,
    kernel::Kernel,
    password, secret, social,
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

async fn ensure_allowed(kernel: &Kernel, user: &User) -> Result<(), PasskeyError> {
    match user.address() {
        Some(email) => Ok(domains::ensure_password_allowed(kernel, kernel.db.reader(), &email).await??),
        None => Ok(()),
    }
}

/// Makes a challenge for a new passkey of `user`, who proved lately who they are, in this session.
///
/// # Errors
/// When the user may not have another passkey, or the installation has no domain name.
pub async fn start_registration(kernel: &Kernel, user: &User, session_id: Uuid) -> Result<Challenge, PasskeyError> {
    ensure_allowed(kernel, user).await?;
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
    ensure_allowed(kernel, user).await?;
    let label = entity::label(answer.label.as_deref().unwrap_or(LABEL))?;
    let session = session_id.to_string();
    let holder = Holder { user_id: Some(user.id), secret: &session };
    let done = match ceremony::take(kernel, kernel.db.writer(), holder, answer.ceremony_id).await? {
        State::Registration { challenge, user_handle } => {
            accept(kernel, holder, (&challenge, user_handle), answer.credential, label).await
        }
        State::Verification { challenge, candidate } => {
            verify(kernel, client, user, (challenge, candidate), answer.credential).await
        }
        State::Login { .. } | State::SecondFactor { .. } => Err(PasskeyError::CeremonyNotFound),
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
    let passkey = eddsa::finish_registration(&rp, &answer, challenge).map_err(|_| PasskeyError::Rejected)?;
    if passkey.cred_id().as_slice() != answer.raw_id.as_slice() {
        return Err(PasskeyError::Rejected);
    }
    if store::find_credential(kernel.db.reader(), passkey.cred_id().as_slice()).await?.is_some() {
        return Err(PasskeyError::Exists);
    }
    let (response, challenge) = rp.start_discoverable_authentication().map_err(PasskeyError::Challenge)?;
    let options = ceremony::narrowed_options(&response, vec![ceremony::descriptor(passkey.cred_id(), &transports)])?;
    let candidate = Box::new(Candidate { passkey, user_handle, label, transports });
    let state = State::Verification { challenge, candidate };
    let challenge = ceremony::keep(kernel, holder, &state, options).await?;
    Ok(Registered::VerificationRequired(challenge))
}

/// Checks the first assertion of a new credential and stores it.
async fn verify(
    kernel: &Kernel,
    client: &Client,
    user: &User,
    (challenge, mut candidate): (DiscoverableAuthentication, Box<Candidate>),
    answer: Value,
) -> Result<Registered, PasskeyError> {
    let rp = ceremony::relying_party(kernel)?;
    let answer: PublicKeyCredential = ceremony::read(answer)?;
    let is_handle = answer.get_user_unique_id().is_none_or(|handle| handle == candidate.user_handle.as_bytes());
    let proven = eddsa::finish_authentication(&rp, &answer, challenge, &candidate.passkey)
        .map_err(|_| PasskeyError::Rejected)?;
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

/// Removes a passkey of `user`, who proved lately who they are, in the caller's transaction. Returns how many are left.
///
/// # Errors
/// When the passkey is not this user's, or nothing would be left to sign in with.
pub async fn remove(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    user_id: UserId,
    id: PasskeyId,
) -> Result<usize, PasskeyError> {
    let held = store::lock_of_user(&**tx, user_id).await?;
    if !held.iter().any(|passkey| passkey.id == id) {
        return Err(PasskeyError::NotFound);
    }
    let is_last = held.len() == 1
        && password::find(&**tx, user_id).await?.is_none()
        && !social::is_login_method(kernel, &**tx, user_id).await?;
    if is_last {
        return Err(PasskeyError::LastMethod);
    }
    store::delete(&**tx, user_id, id).await?;
    let event = event(client, ("passkey.remove", Outcome::Success), Some(user_id), json!({ "passkey_id": id }));
    let audit_id = audit::record(&**tx, kernel.clock.as_ref(), event).await?;
    jobs::enqueue(tx, kernel.clock.as_ref(), &NotifyPasskeyRemoved { user_id, audit_id }).await?;
    Ok(held.len() - 1)
}

/// How many passkeys a user has; none is added or removed until the transaction ends, if there is one.
///
/// # Errors
/// When the database fails.
pub async fn lock_count(tx: &Tx, user_id: UserId) -> Result<usize, PasskeyError> {
    Ok(store::lock_of_user(&**tx, user_id).await?.len())
}

fn event<'a>(
    client: &'a Client,
    (action, outcome): (&'static str, Outcome),
    user_id: Option<UserId>,
    detail: Value,
) -> AuditEvent<'a> {
    AuditEvent { action, outcome, user_id: user_id.map(|id| id.0), client: Some(client), detail }
}
