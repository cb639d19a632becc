//! Finding whose key a request presents, and whether it is good now.
//!
//! ```text
//! not a key of ours by prefix, length, checksum ──► refused: no query, no slow hash
//! hash ── entry of the present generation ──► judged by the clock, no query
//!     └── none ──► looked up with its owner and the owner's organizations, kept under that generation
//! `phx_…`, unknown by its hash ── a stored mask fits? within the limit? ── slow hash, one at a time ──► rewritten
//! ```

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use moka::sync::Cache;
use sea_orm::DbErr;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{
    ApiKeyError, ApiKeyId,
    entity::{Model, State},
    error::Place,
    flow::record,
    store::{self, Note},
};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    clock::Timestamp,
    kernel::Kernel,
    key_format,
    orgs::{self, Actor, Credential, Organization, Role},
    rate_limit::{self, Verdict},
    secret,
    sessions::{self, SessionCache},
    users::{self, User},
};

/// What every key begins with.
pub(super) const PREFIX: &str = "gpx_";
/// Keys kept at most.
const CAPACITY: u64 = 20_000;
/// How long an unused one is kept.
const IDLE: Duration = Duration::from_mins(10);
/// How often the same thing about a key is audited at most.
const NOTE_EVERY: Duration = Duration::from_secs(86_400);
/// Longest key of a former installation.
const LEGACY_LENGTH: usize = 128;

/// A key with its owner and the owner's organizations, as of a generation.
struct Entry {
    key: Arc<Model>,
    user: User,
    memberships: Vec<(Organization, Role)>,
    /// Whether the owner has an authenticator app or a passkey.
    has_factor: bool,
    generation: i64,
    used_at: AtomicI64,
    query_noted_at: AtomicI64,
}

/// Keys that were looked up lately; one slow hash at a time.
pub struct KeyCache {
    /// By the digest of the key.
    entries: Cache<Vec<u8>, Arc<Entry>>,
    /// Keys whose refusal by an organization this process audited lately.
    refused: Cache<ApiKeyId, ()>,
    slow: Semaphore,
}

impl Default for KeyCache {
    fn default() -> Self {
        let entries = Cache::builder().max_capacity(CAPACITY).time_to_idle(IDLE).build();
        let refused = Cache::builder().max_capacity(CAPACITY).time_to_live(IDLE).build();
        Self { entries, refused, slow: Semaphore::new(1) }
    }
}

/// A good key and its owner.
#[derive(Clone, Debug)]
pub struct KeyPrincipal {
    /// The key.
    pub key: Arc<Model>,
    /// Its owner.
    pub user: User,
    /// Where in the request it was.
    pub place: Place,
    /// Who acts by it.
    pub actor: Actor,
}

/// Instance administration needs a session.
fn actor(key: &Model, place: Place, has_factor: bool) -> Actor {
    Actor {
        user_id: Some(key.user_id),
        is_instance_admin: false,
        credential: Credential::ApiKey {
            api_key_id: key.id.0,
            organization_ids: key.organizations(),
            project_ids: key.projects(),
            is_in_query: place == Place::Query,
            has_factor,
        },
    }
}

/// Whether a text looks like a personal API key at all, so that it is refused as one.
#[must_use]
pub fn is_candidate(kernel: &Kernel, text: &str) -> bool {
    text.starts_with(PREFIX) || is_legacy(kernel, text)
}

fn is_legacy(kernel: &Kernel, text: &str) -> bool {
    let prefixes = &kernel.config.api_keys.legacy_prefixes;
    prefixes.iter().any(|prefix| text.starts_with(prefix.as_str()))
        && text.len() <= LEGACY_LENGTH
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Finds whose key this is.
///
/// # Errors
/// When it is not valid, has expired, no organization that it reaches allows it, or the database fails.
pub async fn authenticate(
    kernel: &Kernel,
    (session_cache, cache): (&SessionCache, &KeyCache),
    client: &Client,
    (text, place): (&str, Place),
) -> Result<KeyPrincipal, ApiKeyError> {
    let is_legacy = is_legacy(kernel, text);
    if !is_legacy && !key_format::is_sound(PREFIX, text) {
        return Err(ApiKeyError::Invalid(place));
    }
    let digest = secret::digest(text);
    let generation = session_cache.generation(kernel).await?;
    let now = kernel.clock.now();
    let cached = cache.entries.get(&digest).filter(|entry| entry.generation == generation);
    // A cached use may be older than the last one: only what is good by it is taken.
    let good = cached.filter(|entry| judge(kernel, entry, place, now).is_ok());
    let entry = match good {
        Some(entry) => entry,
        // Boxed, as all that is seldom: the room it needs is not made for every request.
        None => Box::pin(look_up(kernel, cache, client, Search { text, place, digest, generation, is_legacy })).await?,
    };
    judge(kernel, &entry, place, now)?;
    let actor = actor(&entry.key, place, entry.has_factor);
    if let Err(refusal) = orgs::allow_api_key(&entry.memberships, &actor) {
        Box::pin(note_refusal(kernel, cache, client, entry.key.id)).await?;
        return Err(refusal.into());
    }
    if is_due(kernel, &entry, now) {
        Box::pin(touch(kernel, &entry, now)).await?;
    }
    if place == Place::Query {
        Box::pin(note_query(kernel, client, &entry, now)).await?;
    }
    Ok(KeyPrincipal { key: Arc::clone(&entry.key), user: entry.user.clone(), place, actor })
}

fn judge(kernel: &Kernel, entry: &Entry, place: Place, now: Timestamp) -> Result<(), ApiKeyError> {
    if !entry.user.is_active() {
        return Err(ApiKeyError::Invalid(place));
    }
    let used_at = Timestamp(entry.used_at.load(Ordering::Relaxed));
    let state = entry.key.state(entry.user.auth_epoch, kernel.config.api_keys.inactivity(), now);
    match state {
        State::Active => Ok(()),
        // Recorded by this process after the entry was read.
        State::Expired if entry.key.expired_at.is_none() && used_at > entry.key.active_at => {
            let is_fresh = used_at + kernel.config.api_keys.inactivity() > now;
            if is_fresh { Ok(()) } else { Err(ApiKeyError::Expired) }
        }
        State::Expired => Err(ApiKeyError::Expired),
        State::Exposed | State::Ended => Err(ApiKeyError::Invalid(place)),
    }
}

/// What is looked for.
struct Search<'a> {
    text: &'a str,
    place: Place,
    digest: Vec<u8>,
    generation: i64,
    is_legacy: bool,
}

async fn look_up(
    kernel: &Kernel,
    cache: &KeyCache,
    client: &Client,
    search: Search<'_>,
) -> Result<Arc<Entry>, ApiKeyError> {
    let invalid = || ApiKeyError::Invalid(search.place);
    let db = kernel.db.reader();
    let hash = key_format::hash(search.text);
    let mut found = store::find_by_hash(db, &hash).await?;
    if found.is_none() && search.is_legacy {
        upgrade(kernel, cache, client, (search.text, &hash)).await?;
        found = store::find_by_hash(db, &hash).await?;
    }
    let key = found.ok_or_else(invalid)?;
    let user = users::find(db, key.user_id).await?.ok_or_else(invalid)?;
    let memberships = orgs::list_of_user(db, user.id).await?;
    let has_factor = sessions::has_factor(db, user.id).await?;
    let entry = Arc::new(Entry {
        used_at: AtomicI64::new(key.used_at.map_or(0, |at| at.0)),
        query_noted_at: AtomicI64::new(key.query_noted_at.map_or(0, |at| at.0)),
        key: Arc::new(key),
        user,
        memberships,
        has_factor,
        generation: search.generation,
    });
    cache.entries.insert(search.digest, Arc::clone(&entry));
    Ok(entry)
}

/// Finds a key of a former installation by its slow hash, and stores the fast one in its place.
async fn upgrade(
    kernel: &Kernel,
    cache: &KeyCache,
    client: &Client,
    (text, hash): (&str, &str),
) -> Result<(), ApiKeyError> {
    let candidates = store::find_legacy(kernel.db.reader(), &key_format::mask(text)).await?;
    if candidates.is_empty() {
        return Ok(());
    }
    let (limit, now) = (kernel.config.api_keys.legacy_per_network, kernel.clock.now());
    let network = client.network();
    let scope = ("api_keys.legacy", network.as_str());
    if let Verdict::Denied(wait) = rate_limit::check(kernel.db.writer(), &kernel.keys, now, limit, scope).await? {
        return Err(ApiKeyError::Throttled(wait));
    }
    for candidate in candidates {
        if !fits(cache, text, &candidate.secret_hash).await? {
            continue;
        }
        let tx = kernel.db.write_tx().await?;
        if store::rehash(&*tx, &candidate, hash).await? {
            let detail = json!({ "api_key_id": candidate.id, "mask": candidate.mask });
            record(kernel, &tx, Some(client), (candidate.user_id, "api_keys.upgrade", detail)).await?;
        }
        tx.commit_now().await?;
        break;
    }
    Ok(())
}

/// Whether `pbkdf2_sha256$iterations$salt$digest` is of this key. Hashes take turns, away from the other requests.
async fn fits(cache: &KeyCache, text: &str, stored: &str) -> Result<bool, DbErr> {
    let Ok(_turn) = cache.slow.acquire().await else { return Ok(false) };
    let (text, stored) = (text.to_owned(), stored.to_owned());
    let hashing = tokio::task::spawn_blocking(move || pbkdf2_fits(&text, &stored));
    hashing.await.map_err(|err| DbErr::Custom(format!("slow hash: {err}")))
}

/// Django's format (RFC 8018, PBKDF2 with HMAC-SHA-256). Absurd numbers of iterations are not computed.
fn pbkdf2_fits(text: &str, stored: &str) -> bool {
    let mut parts = stored.split('$');
    let (Some("pbkdf2_sha256"), Some(iterations), Some(salt), Some(digest), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let iterations = iterations.parse().ok().filter(|count: &NonZeroU32| count.get() <= 1_000_000);
    let (Some(iterations), Ok(digest)) = (iterations, STANDARD.decode(digest)) else { return false };
    let mut computed = [0; 32];
    let algorithm = ring::pbkdf2::PBKDF2_HMAC_SHA256;
    ring::pbkdf2::derive(algorithm, iterations, salt.as_bytes(), text.as_bytes(), &mut computed);
    secret::equal(&computed, &digest)
}

/// Whether a use is recorded: the first one, and those after the configured precision. Of requests at the same time one is.
fn is_due(kernel: &Kernel, entry: &Entry, now: Timestamp) -> bool {
    let known = entry.used_at.load(Ordering::Relaxed);
    let is_due = known == 0 || now.since(Timestamp(known)) >= kernel.config.api_keys.touch();
    is_due && entry.used_at.compare_exchange(known, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

async fn touch(kernel: &Kernel, entry: &Entry, now: Timestamp) -> Result<(), ApiKeyError> {
    let precision = kernel.config.api_keys.touch();
    let tx = kernel.db.write_tx().await?;
    store::touch(&*tx, entry.key.id, now, now - precision).await?;
    tx.commit_now().await?;
    Ok(())
}

/// Audits that a key stands in queries, once a day, and counts it each time.
async fn note_query(kernel: &Kernel, client: &Client, entry: &Entry, now: Timestamp) -> Result<(), ApiKeyError> {
    metrics::counter!("gatepost_api_key_in_query_total").increment(1);
    let known = entry.query_noted_at.load(Ordering::Relaxed);
    if now.since(Timestamp(known)) < NOTE_EVERY {
        return Ok(());
    }
    entry.query_noted_at.store(now.0, Ordering::Relaxed);
    let tx = kernel.db.write_tx().await?;
    if store::note(&*tx, entry.key.id, Note::Query, (now, now - NOTE_EVERY)).await? {
        let detail = json!({ "api_key_id": entry.key.id, "mask": entry.key.mask });
        record(kernel, &tx, Some(client), (entry.user.id, "api_keys.use_in_query", detail)).await?;
    }
    tx.commit_now().await?;
    Ok(())
}

/// Audits that an organization refused a key, once a day.
///
/// # Errors
/// When the database fails.
pub async fn note_refusal(kernel: &Kernel, cache: &KeyCache, client: &Client, id: ApiKeyId) -> Result<(), DbErr> {
    if cache.refused.contains_key(&id) {
        return Ok(());
    }
    let now = kernel.clock.now();
    let tx = kernel.db.write_tx().await?;
    if store::note(&*tx, id, Note::Refusal, (now, now - NOTE_EVERY)).await?
        && let Some(key) = store::find_any(&*tx, id).await?
    {
        let event = AuditEvent {
            action: "api_keys.refuse",
            outcome: Outcome::Failure,
            user_id: Some(key.user_id.0),
            client: Some(client),
            detail: json!({ "api_key_id": id, "mask": key.mask }),
        };
        audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    }
    tx.commit_now().await?;
    cache.refused.insert(id, ());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "phx_testkey0000000000000000000000000000000000000";
    const STORED: [&str; 2] = [
        "pbkdf2_sha256$260000$posthog_personal_api_key$tROh+IfTiEL9ZzFxhf/xiQT/nytYkpwfPtxD8OK3fiw=",
        "pbkdf2_sha256$390000$posthog_personal_api_key$4b1ujcPBDfahCyXzsikxakEWYe54dvlOqYQx2l7uW7A=",
    ];

    /// D09: the vectors of the specification.
    #[test]
    fn hashes_of_former_installations_are_understood() {
        for stored in STORED {
            assert!(pbkdf2_fits(TEXT, stored));
            assert!(!pbkdf2_fits(&TEXT.replace("test", "tent"), stored));
        }
        for other in ["", "pbkdf2_sha256$1$salt", "pbkdf2_sha256$0$s$AA==", "pbkdf2_sha256$4000000000$s$AA==", "$$$"] {
            assert!(!pbkdf2_fits(TEXT, other), "{other}");
        }
    }
}
