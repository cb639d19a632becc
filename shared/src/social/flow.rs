//! Use cases: beginning a sign-in or a link, what a callback is about, linking and unlinking.

use sea_orm::{ConnectionTrait, DbErr};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::{
    LinkedAccount, NotifyLinked, NotifyUnlinked, Profile, Providers, SocialError, SocialIdentityId,
    config::OnEmailChange,
    entity::{SocialLoginId, pending},
    store,
};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    clock::Timestamp,
    db::{self, Tx},
    domains, jobs,
    kernel::Kernel,
    oidc::Ticket,
    passkey, password,
    rate_limit::{self, Verdict},
    secret::{self, Keyring, Redacted, SignedId},
    users::{self, User, UserId},
};

/// What the token of a browser begins with.
const BROWSER: &str = "gpso_";

/// Length of that token.
const BROWSER_LENGTH: usize = BROWSER.len() + 43;

/// A sign-in at a provider that was begun.
#[derive(Debug)]
pub struct Started {
    /// Where the browser goes.
    pub authorization_url: Url,
    /// The secret that binds it to this browser.
    pub browser_token: Redacted<String>,
    /// Good until.
    pub expires_at: Timestamp,
}

/// What a browser brings back from a provider.
#[derive(Clone, Debug)]
pub struct Callback {
    /// Whose address it came to.
    pub provider: String,
    /// The state.
    pub state: String,
    /// The code; none when the provider refuses.
    pub code: Option<Redacted<String>>,
    /// The issuer, as the provider names itself.
    pub iss: Option<String>,
    /// The secret that binds it to this browser.
    pub browser_token: Option<Redacted<String>>,
}

/// What a callback belongs to.
#[derive(Debug)]
pub struct Pending(pending::Model);

impl Pending {
    /// Where the browser goes in the end.
    #[must_use]
    pub fn next(&self) -> &str {
        &self.0.next
    }

    /// Whose account is to be linked.
    #[must_use]
    pub fn user_id(&self) -> Option<UserId> {
        self.0.user_id
    }

    /// Whether an account is to be linked; else somebody signs in.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.0.user_id.is_some()
    }
}

/// An identity and the user it signs in.
#[derive(Debug)]
pub struct Arrived {
    /// The identity.
    pub identity: SocialIdentityId,
    /// Its user.
    pub user: User,
}

/// Begins a sign-in. `held` is the token that the browser has from an earlier one.
///
/// # Errors
/// When there is no such provider, it does not answer, or the client's network has begun too many.
pub async fn start_login(
    kernel: &Kernel,
    providers: &Providers,
    client: &Client,
    (provider, held, next): (&str, Option<String>, &str),
) -> Result<Started, SocialError> {
    start(kernel, providers, client, (provider, held, next), None).await
}

/// Begins to link an identity to a user, who proved lately who they are, in this session.
///
/// # Errors
/// When there is no such provider, the user's domain demands another one, it does not answer, or the client's network has
/// begun too many.
pub async fn start_link(
    kernel: &Kernel,
    providers: &Providers,
    client: &Client,
    (user, session_id): (&User, Uuid),
    (provider, held, next): (&str, Option<String>, &str),
) -> Result<Started, SocialError> {
    kernel.config.social.provider(provider)?;
    ensure_allowed(kernel, user, provider).await?;
    let started = start(kernel, providers, client, (provider, held, next), Some((user.id, session_id))).await?;
    let tx = kernel.db.write_tx().await?;
    let detail = json!({ "provider": provider });
    record(kernel, &tx, client, Some(user.id), ("social.start_link", Outcome::Success, detail)).await?;
    tx.commit().await?;
    Ok(started)
}

async fn start(
    kernel: &Kernel,
    providers: &Providers,
    client: &Client,
    (name, held, next): (&str, Option<String>, &str),
    holder: Option<(UserId, Uuid)>,
) -> Result<Started, SocialError> {
    let provider = kernel.config.social.provider(name)?;
    let (network, limit) = (client.network(), kernel.config.social.starts_per_network);
    let (now, scope) = (kernel.clock.now(), ("social.network", network.as_str()));
    // One statement is a transaction of its own.
    if let Verdict::Denied(wait) = rate_limit::check(kernel.db.writer(), &kernel.keys, now, limit, scope).await? {
        return Err(SocialError::Throttled(wait));
    }
    // Two pages of one browser share a cookie: the second start must not void the first one's.
    let held = held.filter(|token| token.len() == BROWSER_LENGTH && token.starts_with(BROWSER)).map(Redacted::new);
    let browser_token = held.unwrap_or_else(|| secret::mint(BROWSER));
    let (user_id, session_id) = holder.unzip();
    let row = pending::Model {
        id: SocialLoginId::next(),
        provider: provider.name.clone(),
        issuer: provider.issuer(),
        binding: secret::digest(browser_token.expose()),
        key_id: kernel.keys.current().to_owned(),
        user_id,
        session_id,
        next: next.to_owned(),
        expires_at: now + kernel.config.social.validity(),
    };
    let ticket = ticket(kernel, &row)?;
    let authorization_url = providers.authorization_url(kernel, &provider, &ticket).await?;
    let expires_at = row.expires_at;
    store::insert_pending(kernel.db.writer(), row).await?;
    Ok(Started { authorization_url, browser_token, expires_at })
}

/// State, nonce and verifier of a row. Its key has been removed when there are none.
fn ticket(kernel: &Kernel, row: &pending::Model) -> Result<Ticket, SocialError> {
    let part = |purpose| derive(&kernel.keys, row, purpose).ok_or(SocialError::InvalidState);
    let mut redirect_uri = kernel.config.http.public_url.clone();
    redirect_uri.set_path(&format!("/api/complete/{}", row.provider));
    redirect_uri.set_query(None);
    Ok(Ticket {
        state: SignedId::new(row.id.0, part("social.state")?).to_text(),
        nonce: secret::encode(&part("social.nonce")?),
        verifier: Redacted::new(secret::encode(&part("social.verifier")?)),
        redirect_uri: redirect_uri.to_string(),
    })
}

fn derive(keys: &Keyring, row: &pending::Model, purpose: &str) -> Option<[u8; 32]> {
    keys.derive(&row.key_id, purpose, &[row.id.0.as_bytes(), row.provider.as_bytes(), &row.binding])
}

/// What a callback belongs to, which it uses up.
///
/// # Errors
/// When the state is nobody's, spent or expired, or was given to another browser or for another provider.
pub async fn take(kernel: &Kernel, callback: &Callback) -> Result<Pending, SocialError> {
    let state = SignedId::parse(&callback.state).ok_or(SocialError::InvalidState)?;
    let browser_token = callback.browser_token.as_ref().ok_or(SocialError::InvalidState)?;
    let binding = secret::digest(browser_token.expose());
    // One statement is a transaction of its own.
    let wanted = (SocialLoginId(state.id), callback.provider.as_str());
    let row = store::take_pending(kernel.db.writer(), wanted, binding).await?.ok_or(SocialError::InvalidState)?;
    let is_ours = state.is_signed_with(derive(&kernel.keys, &row, "social.state"));
    if !is_ours || row.expires_at <= kernel.clock.now() {
        return Err(SocialError::InvalidState);
    }
    Ok(Pending(row))
}

/// Whom a callback is about.
///
/// # Errors
/// When the provider refuses, does not answer, or what it answers does not verify.
pub async fn identify(
    kernel: &Kernel,
    providers: &Providers,
    pending: &Pending,
    callback: &Callback,
) -> Result<Profile, SocialError> {
    let provider = kernel.config.social.provider(&pending.0.provider)?;
    if provider.issuer() != pending.0.issuer {
        return Err(SocialError::InvalidState);
    }
    let ticket = ticket(kernel, &pending.0)?;
    let code = callback.code.as_ref().ok_or(SocialError::Cancelled)?;
    let identified = providers.identify(kernel, &provider, (code.expose(), callback.iss.as_deref(), &ticket)).await;
    if let Err(SocialError::Rejected(reason)) = &identified {
        tracing::warn!(provider = provider.name, reason, "the answer of a provider was not accepted");
    }
    identified
}

/// The user that an identity signs in, if it is linked.
///
/// # Errors
/// When the database fails.
pub async fn find_owner<C: ConnectionTrait>(db: &C, profile: &Profile) -> Result<Option<Arrived>, DbErr> {
    let key = (profile.provider.as_str(), profile.issuer.as_str(), profile.subject.as_str());
    let Some(identity) = store::find_by_key(db, key).await? else { return Ok(None) };
    let user = users::find(db, identity.user_id).await?;
    Ok(user.map(|user| Arrived { identity: identity.id, user }))
}

/// Records that an identity signed its user in.
///
/// # Errors
/// When the database fails.
pub async fn record_use(kernel: &Kernel, tx: &Tx, id: SocialIdentityId) -> Result<(), DbErr> {
    store::record_use(&**tx, id, kernel.clock.now()).await
}

/// Refuses a provider where the address demands another one.
async fn ensure_allowed(kernel: &Kernel, user: &User, provider: &str) -> Result<(), SocialError> {
    match user.address() {
        Some(email) => Ok(domains::ensure_provider_allowed(kernel, kernel.db.reader(), (&email, provider)).await??),
        None => Ok(()),
    }
}

/// Links an identity to a user, in the caller's transaction, and tells them.
///
/// # Errors
/// A unique violation when it is linked already.
pub async fn attach(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    user_id: UserId,
    profile: &Profile,
) -> Result<(), DbErr> {
    let row = LinkedAccount {
        id: SocialIdentityId::next(),
        user_id,
        provider: profile.provider.clone(),
        issuer: profile.issuer.clone(),
        subject: profile.subject.clone(),
        email: profile.email.as_ref().map(|email| email.address().to_owned()),
        created_at: kernel.clock.now(),
        last_used_at: None,
    };
    let detail = json!({ "provider": row.provider, "linked_account_id": row.id });
    store::insert(&**tx, row).await?;
    let audit_id = record(kernel, tx, client, Some(user_id), ("social.link", Outcome::Success, detail)).await?;
    jobs::enqueue(tx, kernel.clock.as_ref(), &NotifyLinked { user_id, audit_id }).await?;
    Ok(())
}

/// Links an identity to the signed-in user, who asked for it in this session.
///
/// # Errors
/// When somebody else asked, the identity is another account's or has another address, or the domain demands another
/// provider.
pub async fn link(
    kernel: &Kernel,
    client: &Client,
    (user, session_id): (&User, Uuid),
    (pending, profile): (&Pending, &Profile),
) -> Result<(), SocialError> {
    if pending.0.user_id != Some(user.id) || pending.0.session_id != Some(session_id) {
        return Err(SocialError::InvalidState);
    }
    ensure_allowed(kernel, user, &profile.provider).await?;
    let is_same = profile.email.as_ref().is_some_and(|email| email.normalised() == user.email_normalised);
    if kernel.config.social.link_requires_same_email && !is_same {
        return Err(SocialError::EmailMismatch);
    }
    let tx = kernel.db.write_tx().await?;
    // What ends sessions removes links: a change of the address, a reset. None is made by a session that it ended.
    let locked = users::lock(&*tx, user.id).await?;
    locked.filter(|now| now.auth_epoch == user.auth_epoch).ok_or(SocialError::InvalidState)?;
    match find_owner(&*tx, profile).await? {
        Some(owner) if owner.user.id != user.id => return Err(SocialError::InUse),
        Some(_) => return Ok(()),
        None => {}
    }
    match attach(kernel, &tx, client, user.id, profile).await {
        Err(err) if db::is_unique_violation(&err) => return Err(SocialError::InUse),
        outcome => outcome?,
    }
    tx.commit().await?;
    Ok(())
}

/// Unlinks an identity from a user, who proved lately who they are, and tells them.
///
/// # Errors
/// When it is not this user's, or nothing would be left to sign in with.
pub async fn unlink(
    kernel: &Kernel,
    client: &Client,
    user_id: UserId,
    id: SocialIdentityId,
) -> Result<(), SocialError> {
    let tx = kernel.db.write_tx().await?;
    // Of two requests that take away the last two ways at once, one waits.
    users::lock(&*tx, user_id).await?;
    let held = store::of_user(&*tx, user_id).await?;
    let identity = held.iter().find(|identity| identity.id == id).ok_or(SocialError::NotFound)?;
    let has_other = held.iter().any(|other| other.id != id && is_usable(kernel, other))
        || password::find(&*tx, user_id).await?.is_some()
        || passkey::exist(&*tx, user_id).await?;
    if !has_other {
        return Err(SocialError::LastMethod);
    }
    store::delete(&*tx, user_id, id).await?;
    let detail = json!({ "provider": identity.provider, "linked_account_id": id });
    let audit_id = record(kernel, &tx, client, Some(user_id), ("social.unlink", Outcome::Success, detail)).await?;
    jobs::enqueue(&tx, kernel.clock.as_ref(), &NotifyUnlinked { user_id, audit_id }).await?;
    tx.commit().await?;
    Ok(())
}

/// Whether a user can sign in with a provider. One that is not configured any more signs nobody in.
///
/// # Errors
/// When the database fails.
pub async fn is_login_method<C: ConnectionTrait>(kernel: &Kernel, db: &C, user_id: UserId) -> Result<bool, DbErr> {
    Ok(store::of_user(db, user_id).await?.iter().any(|identity| is_usable(kernel, identity)))
}

fn is_usable(kernel: &Kernel, identity: &LinkedAccount) -> bool {
    let provider = kernel.config.social.provider(&identity.provider);
    provider.is_ok_and(|provider| provider.issuer() == identity.issuer)
}

/// What becomes of a user's links when their address changes, in the caller's transaction.
///
/// # Errors
/// When the database fails.
pub async fn settle_email_change(kernel: &Kernel, tx: &Tx, user_id: UserId) -> Result<(), DbErr> {
    match kernel.config.social.on_email_change {
        OnEmailChange::Unlink => store::remove_all(&**tx, user_id).await.map(|_| ()),
        OnEmailChange::Keep => Ok(()),
    }
}

/// Audits what came to nothing: of one network no more than it may begin.
///
/// # Errors
/// When the database fails.
pub async fn record_failure(
    kernel: &Kernel,
    client: &Client,
    user_id: Option<UserId>,
    (provider, reason): (&str, &str),
) -> Result<(), DbErr> {
    let (network, limit) = (client.network(), kernel.config.social.starts_per_network);
    let (now, scope) = (kernel.clock.now(), ("social.failures", network.as_str()));
    if !rate_limit::check(kernel.db.writer(), &kernel.keys, now, limit, scope).await?.is_allowed() {
        return Ok(());
    }
    // The name is what somebody put into an address.
    let provider = kernel.config.social.provider(provider).map(|provider| provider.name).ok();
    let tx = kernel.db.write_tx().await?;
    let detail = json!({ "provider": provider, "reason": reason });
    record(kernel, &tx, client, user_id, ("social.complete", Outcome::Failure, detail)).await?;
    tx.commit().await
}

async fn record(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    user_id: Option<UserId>,
    (action, outcome, detail): (&'static str, Outcome, Value),
) -> Result<Uuid, DbErr> {
    let event = AuditEvent { action, outcome, user_id: user_id.map(|id| id.0), client: Some(client), detail };
    audit::record(&**tx, kernel.clock.as_ref(), event).await
}
