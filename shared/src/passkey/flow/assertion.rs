//! Use cases: proving to be the owner of a passkey, to sign in or as second factor.

use sea_orm::DbErr;
use serde_json::{Value, json};
use webauthn_rs::prelude::{DiscoverableAuthentication, Passkey, PublicKeyCredential, WebauthnError};

use super::event;
use crate::{
    audit::{self, Outcome},
    client::Client,
    clock::Timestamp,
    db::Tx,
    eddsa, jobs,
    kernel::Kernel,
    passkey::{
        CeremonyId, Challenge, NotifyPasskeyCloned, PasskeyError, StoredPasskey,
        ceremony::{self, Holder, State},
        store,
    },
    rate_limit::{self, Verdict},
    secret::{self, Redacted},
    users::UserId,
};

/// The reason that tells of a copied key.
const SIGN_COUNT: &str = "sign_count";

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

/// The answer to a challenge of a second factor.
#[derive(Clone, Debug)]
pub struct SecondFactorAnswer {
    /// The challenge.
    pub ceremony_id: CeremonyId,
    /// `AuthenticationResponseJSON`.
    pub credential: Value,
}

/// An answer that names a passkey of this installation; nothing is proven yet.
#[derive(Debug)]
pub struct Claim {
    challenge: DiscoverableAuthentication,
    credential: PublicKeyCredential,
    passkey: StoredPasskey,
    is_token_transport: bool,
}

/// What the answer to a challenge of a sign-in names.
#[derive(Debug)]
pub enum Claimed {
    /// A passkey.
    Passkey(Box<Claim>),
    /// No passkey that there is, but this id.
    Unknown(Vec<u8>),
}

impl Claim {
    /// Whose passkey it names.
    #[must_use]
    pub fn user_id(&self) -> UserId {
        self.passkey.user_id
    }
}

/// A passkey that proved to be there, with its user verified by the authenticator.
#[derive(Debug)]
pub struct Assertion {
    before: StoredPasskey,
    after: StoredPasskey,
    /// Whether the session will be a bearer token.
    pub is_token_transport: bool,
}

impl Refused {
    /// What names a passkey that there is not.
    #[must_use]
    pub const fn unknown() -> Self {
        Self { passkey: None, reason: "unknown" }
    }
}

impl Assertion {
    /// RFC 8176: a key bound to hardware or one that is synchronised, with its user verified, which is two factors.
    #[must_use]
    pub fn amr(&self) -> &'static [&'static str] {
        if self.after.is_backup_eligible { &["swk", "user", "mfa"] } else { &["hwk", "user", "mfa"] }
    }
}

/// An answer that proves nothing.
#[derive(Debug)]
pub struct Refused {
    passkey: Option<StoredPasskey>,
    reason: &'static str,
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
    count_start(kernel, client).await?;
    let (response, challenge) =
        ceremony::relying_party(kernel)?.start_discoverable_authentication().map_err(PasskeyError::Challenge)?;
    // Two pages of one browser share a cookie: the second start must not void the first one's.
    let ceremony_token = ceremony_token.unwrap_or_else(|| secret::mint("gppk_"));
    let holder = Holder { user_id: None, secret: ceremony_token.expose() };
    let state = State::Login { challenge, is_token_transport };
    let challenge = ceremony::keep(kernel, holder, &state, ceremony::request_options(&response)?).await?;
    Ok(LoginChallenge { challenge, ceremony_token })
}

/// Makes a challenge that the passkeys of one user may answer. `asker` is what wants the proof, and it alone gets it.
///
/// # Errors
/// When the client's network has begun too many, or the installation has no domain name.
pub async fn start_second_factor(
    kernel: &Kernel,
    client: &Client,
    (user_id, asker): (UserId, &str),
) -> Result<Challenge, PasskeyError> {
    count_start(kernel, client).await?;
    let allowed = store::of_user(kernel.db.reader(), user_id).await?;
    let (response, challenge) =
        ceremony::relying_party(kernel)?.start_discoverable_authentication().map_err(PasskeyError::Challenge)?;
    let holder = Holder { user_id: Some(user_id), secret: asker };
    let name = |passkey: &StoredPasskey| ceremony::descriptor(&passkey.credential_id, &passkey.transports);
    let options = ceremony::narrowed_options(&response, allowed.iter().map(name).collect())?;
    ceremony::keep(kernel, holder, &State::SecondFactor { challenge }, options).await
}

async fn count_start(kernel: &Kernel, client: &Client) -> Result<(), PasskeyError> {
    let (network, limit) = (client.network(), kernel.config.passkey.starts_per_network);
    let scope = ("passkey.network", network.as_str());
    match rate_limit::check(kernel.db.writer(), &kernel.keys, kernel.clock.now(), limit, scope).await? {
        Verdict::Allowed => Ok(()),
        Verdict::Denied(wait) => Err(PasskeyError::Throttled(wait)),
    }
}

/// Finds whose passkey answers a challenge of a sign-in; the challenge is used up. Whether the owner may try, and whether
/// the answer proves anything, comes next.
///
/// # Errors
/// When the challenge is not this client's, or no passkey is named.
pub async fn claim_login(kernel: &Kernel, client: &Client, answer: LoginAnswer) -> Result<Claimed, PasskeyError> {
    let holder = Holder { user_id: None, secret: answer.ceremony_token.expose() };
    let state = ceremony::take(kernel, kernel.db.writer(), holder, answer.ceremony_id).await?;
    let State::Login { challenge, is_token_transport } = state else { return Err(PasskeyError::CeremonyNotFound) };
    let Ok(credential) = ceremony::read::<PublicKeyCredential>(answer.credential) else {
        return refuse_nobody(kernel, client, "malformed").await;
    };
    let found = store::find_credential(kernel.db.reader(), credential.get_credential_id()).await?;
    Ok(match found {
        Some(passkey) => Claimed::Passkey(Box::new(Claim { challenge, credential, passkey, is_token_transport })),
        None => Claimed::Unknown(credential.get_credential_id().to_vec()),
    })
}

/// Checks the answer of a sign-in. Who the owner is, and whether they may sign in, is for the caller.
///
/// # Errors
/// When what is stored cannot be read.
pub fn prove(kernel: &Kernel, claim: Claim) -> Result<Result<Assertion, Refused>, PasskeyError> {
    let Claim { challenge, credential, passkey, is_token_transport } = claim;
    // Nobody said who they are: the handle must be there, and be the owner's.
    let judged = if credential.get_user_unique_id() == Some(passkey.user_handle.as_bytes()) {
        judge(kernel, challenge, &credential, &passkey)?
    } else {
        Err("user_handle")
    };
    Ok(match judged {
        Ok(after) => Ok(Assertion { before: passkey, after, is_token_transport }),
        Err(reason) => Err(Refused { passkey: Some(passkey), reason }),
    })
}

/// Checks the answer to a challenge of a second factor, in the caller's transaction, which also uses the challenge up.
/// Returns what the passkey adds to a session, or `None` for an answer that is audited and proves nothing.
///
/// # Errors
/// When there is no such challenge of this user and asker; nothing was checked then.
pub async fn verify_second_factor(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    (user_id, asker): (UserId, &str),
    answer: &SecondFactorAnswer,
) -> Result<Option<&'static [&'static str]>, PasskeyError> {
    let holder = Holder { user_id: Some(user_id), secret: asker };
    let state = ceremony::take(kernel, &**tx, holder, answer.ceremony_id).await?;
    let State::SecondFactor { challenge } = state else { return Err(PasskeyError::CeremonyNotFound) };
    let refused = match check_second_factor(kernel, tx, user_id, challenge, answer).await? {
        Ok(assertion) if record_use(tx, &assertion, kernel.clock.now()).await? => return Ok(Some(assertion.amr())),
        Ok(assertion) => Refused { passkey: Some(assertion.before), reason: "overtaken" },
        Err(refused) => refused,
    };
    record_refusal(kernel, tx, client, &refused).await?;
    Ok(None)
}

async fn check_second_factor(
    kernel: &Kernel,
    tx: &Tx,
    user_id: UserId,
    challenge: DiscoverableAuthentication,
    answer: &SecondFactorAnswer,
) -> Result<Result<Assertion, Refused>, PasskeyError> {
    let refused = |passkey, reason| Ok(Err(Refused { passkey, reason }));
    let Ok(credential) = ceremony::read::<PublicKeyCredential>(answer.credential.clone()) else {
        return refused(None, "malformed");
    };
    let found = store::find_credential(&**tx, credential.get_credential_id()).await?;
    let Some(passkey) = found else { return refused(None, "unknown") };
    if passkey.user_id != user_id {
        return refused(Some(passkey), "foreign");
    }
    let handle = passkey.user_handle;
    if credential.get_user_unique_id().is_some_and(|said| said != handle.as_bytes()) {
        return refused(Some(passkey), "user_handle");
    }
    match judge(kernel, challenge, &credential, &passkey)? {
        Ok(after) => Ok(Ok(Assertion { before: passkey, after, is_token_transport: false })),
        Err(reason) => refused(Some(passkey), reason),
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
    let proven = match eddsa::finish_authentication(&rp, credential, challenge, &passkey) {
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

/// Audits an answer that names no passkey.
async fn refuse_nobody(kernel: &Kernel, client: &Client, reason: &'static str) -> Result<Claimed, PasskeyError> {
    let tx = kernel.db.write_tx().await?;
    record_refusal(kernel, &tx, client, &Refused { passkey: None, reason }).await?;
    tx.commit().await?;
    Err(PasskeyError::Rejected)
}

/// Audits a refused answer, and tells the owner when their key seems to be copied.
///
/// # Errors
/// When the database fails.
pub async fn record_refusal(kernel: &Kernel, tx: &Tx, client: &Client, refused: &Refused) -> Result<(), DbErr> {
    let Refused { passkey, reason } = refused;
    let detail = json!({ "passkey_id": passkey.as_ref().map(|passkey| passkey.id), "reason": reason });
    let user_id = passkey.as_ref().map(|passkey| passkey.user_id);
    let event = event(client, ("passkey.assert", Outcome::Failure), user_id, detail);
    let audit_id = audit::record(&**tx, kernel.clock.as_ref(), event).await?;
    if let Some(user_id) = user_id.filter(|_| *reason == SIGN_COUNT) {
        jobs::enqueue(tx, kernel.clock.as_ref(), &NotifyPasskeyCloned { user_id, audit_id }).await?;
    }
    Ok(())
}

/// Takes over what the assertion brought, in the transaction of what it allows. False when another one was quicker.
///
/// # Errors
/// When the database fails.
pub async fn record_use(tx: &Tx, assertion: &Assertion, now: Timestamp) -> Result<bool, DbErr> {
    store::record_use(&**tx, (&assertion.before, &assertion.after), now).await
}
