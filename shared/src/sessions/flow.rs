//! Use cases: opening, checking and ending sessions.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, DbErr};
use serde_json::json;

use super::{
    SessionCache, SessionError, SessionId, SessionsConfig,
    cache::{Entry, Found},
    entity::{ActiveModel, Model},
    store,
};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    clock::Timestamp,
    db::Tx,
    enforcement::{self, Evidence, Rules, Shortfall},
    kernel::Kernel,
    orgs::{Actor, Credential},
    secret::{self, Redacted},
    users::{User, UserId},
};

/// What every session token begins with.
const PREFIX: &str = "gpst_";
/// Length of a session token: the prefix and 256 bits in base64url.
const TOKEN_LENGTH: usize = 5 + 43;

/// How the client keeps its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// In a cookie that scripts cannot read.
    #[default]
    Cookie,
    /// As a bearer token that the client stores.
    Token,
}

/// How a user proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// RFC 8176 values, and `email` for a mailed code.
    pub amr: Vec<&'static str>,
    /// The method of the second step that was skipped because the browser is trusted for it.
    pub remembered_method: Option<&'static str>,
}

impl Proof {
    /// All of it was proven just now.
    #[must_use]
    pub fn of(amr: Vec<&'static str>) -> Self {
        Self { amr, remembered_method: None }
    }
}

/// A session that was just opened; the token is not recoverable later.
#[derive(Debug)]
pub struct Opened {
    /// Its id.
    pub id: SessionId,
    /// What the client presents from now on.
    pub session_token: Redacted<String>,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it was opened.
    pub created_at: Timestamp,
    /// How the user proved who they are.
    pub amr: Vec<&'static str>,
}

/// Opens a session for `user` in the caller's transaction.
///
/// # Errors
/// When the database fails.
pub async fn open(kernel: &Kernel, tx: &Tx, client: &Client, user: &User, proof: Proof) -> Result<Opened, DbErr> {
    let now = kernel.clock.now();
    let session_token = secret::mint(PREFIX);
    let id = SessionId::next();
    let expires_at = now + kernel.config.sessions.age();
    let rules = enforcement::rules_of(&**tx, user.id).await?;
    let row = ActiveModel {
        id: Set(id),
        user_id: Set(user.id),
        digest: Set(secret::digest(session_token.expose())),
        auth_epoch: Set(user.auth_epoch),
        amr: Set(proof.amr.join(",")),
        ip: Set(client.ip.to_string()),
        user_agent: Set(client.user_agent.clone()),
        created_at: Set(now),
        reauthenticated_at: Set(now),
        seen_at: Set(now),
        expires_at: Set(expires_at),
        revoked_at: Set(None),
        remembered_method: Set(proof.remembered_method.map(str::to_owned)),
    };
    store::insert(&**tx, row).await?;
    // The row keeps the installation's age: an organization's may change while the session lives.
    let expires_at = now + longest_age(&kernel.config.sessions, &rules);
    Ok(Opened { id, session_token, expires_at, created_at: now, amr: proof.amr })
}

/// The user and session behind a request.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The session.
    pub session_id: SessionId,
    /// The user.
    pub user: User,
    /// When the user last proved who they are.
    pub reauthenticated_at: Timestamp,
    /// RFC 8176 values, comma-separated.
    pub amr: String,
    /// What a trusted device stood in for at the start.
    pub remembered_method: Option<String>,
    /// Whether the user has an authenticator app or a passkey.
    pub has_factor: bool,
    /// What the user's organizations demand.
    pub rules: Rules,
    /// SHA-256 of the token that was presented.
    pub(super) digest: Vec<u8>,
}

impl Principal {
    /// Whether the session has this RFC 8176 value.
    #[must_use]
    pub fn has_amr(&self, value: &str) -> bool {
        self.amr.split(',').any(|one| one == value)
    }

    /// Who acts by this session.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor {
            user_id: Some(self.user.id),
            is_instance_admin: self.user.is_instance_admin,
            credential: Credential::Session { session_id: self.session_id.0, evidence: self.evidence() },
        }
    }

    /// What is held against the demand for a second factor.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let (amr, remembered_method) = (self.amr.clone(), self.remembered_method.clone());
        Evidence { amr, remembered_method, has_factor: self.has_factor }
    }

    /// What the session lacks to meet the demands of all organizations of its user.
    #[must_use]
    pub fn shortfall(&self) -> Option<Shortfall> {
        // Most users are under no demand: nothing is copied for them.
        self.rules.second_factor?.shortfall(&self.evidence())
    }

    /// When a session of the user ends at the latest.
    fn ends_at(&self, kernel: &Kernel, session: &Model) -> Timestamp {
        session.expires_at.min(session.created_at + longest_age(&kernel.config.sessions, &self.rules))
    }
}

/// Finds whose session this token is.
///
/// # Errors
/// When it is not valid, has expired, or the database fails.
pub async fn authenticate(
    kernel: &Kernel,
    cache: &SessionCache,
    session_token: &str,
) -> Result<Principal, SessionError> {
    if session_token.len() != TOKEN_LENGTH || !session_token.starts_with(PREFIX) {
        return Err(SessionError::Invalid);
    }
    let digest = secret::digest(session_token);
    let generation = cache.generation(kernel).await?;
    let now = kernel.clock.now();
    let config = &kernel.config.sessions;
    let cached = cache.get(&digest, generation);
    // A cached use may be older than the last one: only what is good by it is taken.
    let good = cached.filter(|entry| judge(config, entry, now).is_ok());
    let entry = if let Some(entry) = good {
        entry
    } else {
        // Boxed, as all that is seldom: the room it needs is not made for every request.
        let found = Box::pin(store::find(kernel.db.reader(), &digest)).await?.ok_or(SessionError::Invalid)?;
        let entry = cache.keep(digest.clone(), found, generation);
        judge(config, &entry, now)?;
        entry
    };
    if now.since(entry.seen_at()) >= config.touch() {
        Box::pin(touch(kernel, &entry, now)).await?;
    }
    let Found { session, user, rules, has_factor } = &entry.found;
    Ok(Principal {
        session_id: session.id,
        user: user.clone(),
        reauthenticated_at: session.reauthenticated_at,
        amr: session.amr.clone(),
        remembered_method: session.remembered_method.clone(),
        has_factor: *has_factor,
        rules: *rules,
        digest,
    })
}

/// The longest age of a session: the installation's, or a shorter one of the user's organizations.
fn longest_age(config: &SessionsConfig, rules: &Rules) -> Duration {
    rules.session_age.map_or(config.age(), |age| age.min(config.age()))
}

/// Records the use of a session.
async fn touch(kernel: &Kernel, entry: &Entry, now: Timestamp) -> Result<(), SessionError> {
    entry.see(now);
    let tx = kernel.db.write_tx().await?;
    store::touch(&*tx, entry.found.session.id, now).await?;
    tx.commit_now().await?;
    Ok(())
}

/// Whether a stored session is good at this moment.
fn judge(config: &SessionsConfig, entry: &Entry, now: Timestamp) -> Result<(), SessionError> {
    let Found { session, user, rules, .. } = &entry.found;
    if session.revoked_at.is_some() || session.auth_epoch != user.auth_epoch || !user.is_active() {
        return Err(SessionError::Invalid);
    }
    let idle = config.idle().is_some_and(|limit| entry.seen_at() + limit <= now);
    // The age counts from the start even when the configuration or an organization shortened it later.
    if session.expires_at <= now || session.created_at + longest_age(config, rules) <= now || idle {
        return Err(SessionError::Expired);
    }
    Ok(())
}

/// What a recent proof of identity is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// A sensitive change, such as another e-mail address.
    Sensitive,
    /// A change of the factors that sign the user in.
    FactorChange,
}

/// Demands that the user proved who they are recently.
///
/// # Errors
/// When the last proof is older than the time that is configured for this sensitivity.
pub fn require_recent(kernel: &Kernel, principal: &Principal, sensitivity: Sensitivity) -> Result<(), SessionError> {
    let within = kernel.config.sessions.within(sensitivity);
    if principal.reauthenticated_at + within <= kernel.clock.now() {
        return Err(SessionError::ReauthenticationRequired);
    }
    Ok(())
}

/// The user's live sessions, the newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(
    kernel: &Kernel,
    principal: &Principal,
    page: (u64, Option<SessionId>),
) -> Result<Vec<Model>, SessionError> {
    let (config, now) = (&kernel.config.sessions, kernel.clock.now());
    let ages = (longest_age(config, &principal.rules), config.idle());
    let mut rows = store::list(kernel.db.reader(), &principal.user, ages, page, now).await?;
    for row in &mut rows {
        row.expires_at = principal.ends_at(kernel, row);
    }
    Ok(rows)
}

/// Renews the proof of identity of a session in the caller's transaction, and replaces its token. `further` is what was
/// proven beyond what the session has.
///
/// # Errors
/// When the session ended or was renewed by another request since `principal` was read, or the database fails.
pub async fn renew(
    kernel: &Kernel,
    tx: &Tx,
    principal: &Principal,
    further: &[&'static str],
) -> Result<Renewed, SessionError> {
    let session_token = secret::mint(PREFIX);
    let mut amr: Vec<_> = principal.amr.split(',').map(str::to_owned).collect();
    amr.extend(further.iter().filter(|value| !principal.has_amr(value)).map(ToString::to_string));
    let renewal =
        store::Renewal { digest: secret::digest(session_token.expose()), amr: amr.join(","), at: kernel.clock.now() };
    let row = store::renew(&**tx, principal, renewal).await?.ok_or(SessionError::Invalid)?;
    let expires_at = principal.ends_at(kernel, &row);
    Ok(Renewed { id: row.id, session_token, expires_at, created_at: row.created_at, amr })
}

/// A session whose token was replaced; the new one is not recoverable later.
#[derive(Debug)]
pub struct Renewed {
    /// Its id, which stays.
    pub id: SessionId,
    /// What the client presents from now on.
    pub session_token: Redacted<String>,
    /// When it ends at the latest, which stays.
    pub expires_at: Timestamp,
    /// When it was opened.
    pub created_at: Timestamp,
    /// How the user proved who they are.
    pub amr: Vec<String>,
}

/// Ends the session that the request carries.
///
/// # Errors
/// When the database fails.
pub async fn log_out(kernel: &Kernel, client: &Client, principal: &Principal) -> Result<(), SessionError> {
    let tx = kernel.db.write_tx().await?;
    store::revoke(&*tx, principal.user.id, principal.session_id, kernel.clock.now()).await?;
    let detail = json!({ "session_id": principal.session_id });
    record(kernel, &tx, client, principal, ("sessions.log_out", detail)).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends one session of the user.
///
/// # Errors
/// When the user has no such session.
pub async fn end(
    kernel: &Kernel,
    client: &Client,
    principal: &Principal,
    session_id: SessionId,
) -> Result<(), SessionError> {
    let tx = kernel.db.write_tx().await?;
    if !store::revoke(&*tx, principal.user.id, session_id, kernel.clock.now()).await? {
        return Err(SessionError::NotFound);
    }
    record(kernel, &tx, client, principal, ("sessions.revoke", json!({ "session_id": session_id }))).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends all sessions of the user but the one that the request carries; returns how many ended.
///
/// # Errors
/// When the database fails.
pub async fn end_others(kernel: &Kernel, client: &Client, principal: &Principal) -> Result<u64, SessionError> {
    let tx = kernel.db.write_tx().await?;
    let kept = Some(principal.session_id);
    let count = store::revoke_others(&*tx, principal.user.id, kept, kernel.clock.now()).await?;
    let detail = json!({ "session_id": principal.session_id, "count": count });
    record(kernel, &tx, client, principal, ("sessions.revoke_others", detail)).await?;
    tx.commit().await?;
    Ok(count)
}

async fn record(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    principal: &Principal,
    (action, detail): (&'static str, serde_json::Value),
) -> Result<(), DbErr> {
    let user_id = Some(principal.user.id.0);
    let event = AuditEvent { action, outcome: Outcome::Success, user_id, client: Some(client), detail };
    audit::record(&**tx, kernel.clock.as_ref(), event).await.map(|_| ())
}

/// After the user's epoch moved to `auth_epoch`: ends all other sessions, and carries `kept` over if there is one.
///
/// # Errors
/// When the database fails.
pub async fn settle(
    tx: &Tx,
    user_id: UserId,
    kept: Option<SessionId>,
    auth_epoch: i64,
    now: Timestamp,
) -> Result<u64, DbErr> {
    if let Some(kept) = kept {
        store::carry_over(&**tx, kept, auth_epoch).await?;
    }
    store::revoke_others(&**tx, user_id, kept, now).await
}
