//! Use cases: making, rolling and deleting keys of a project, and finding whose key a request presents.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr};
use serde_json::{Value, json};

use super::{
    SecretKeyError, SecretKeyId,
    entity::{ActiveModel, Model},
    store,
};
use crate::{
    audit::Outcome,
    client::Client,
    clock::Timestamp,
    db::is_unique_violation,
    kernel::Kernel,
    key_format,
    orgs::{self, Actor, By, Credential, Permission, Scopes},
    projects::{self, ProjectId},
    rate_limit::{self, Limit, Verdict},
    secret::Redacted,
};

/// What every secret key begins with.
pub const PREFIX: &str = "gps_";
/// All scopes that secret keys can have.
pub const SCOPES: [&str; 4] = ["event:read", "person:read", "person:write", "project:read"];
/// Longest label, in characters.
const LABEL_LIMIT: usize = 64;
/// How precisely the last use is recorded.
const TOUCH: Duration = Duration::from_secs(3600);
/// Keys kept at most.
const CAPACITY: u64 = 5_000;

/// A key as of a generation.
struct Entry {
    key: Model,
    generation: i64,
    used_at: AtomicI64,
}

/// Secret keys that were looked up lately.
pub struct SecretKeyCache(Cache<String, Arc<Entry>>);

impl Default for SecretKeyCache {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).time_to_idle(TOUCH).build())
    }
}

/// A good secret key.
#[derive(Clone, Debug)]
pub struct SecretPrincipal {
    /// The key.
    pub key: Model,
}

impl SecretPrincipal {
    /// Who acts by this key: the project.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let credential = Credential::SecretKey { secret_key_id: self.key.id.0, project_id: self.key.project_id.0 };
        Actor { user_id: None, is_instance_admin: false, credential }
    }
}

/// A key that was just made or rolled; its secret is not recoverable later.
#[derive(Debug)]
pub struct Created {
    /// The key.
    pub key: Model,
    /// What servers present from now on.
    pub secret_key: Redacted<String>,
}

/// Finds whose secret key this is, and counts the request. What is known of `generation` needs no query.
///
/// # Errors
/// When it is not valid, the key or its project makes too many requests, or the database fails.
pub async fn authenticate(
    kernel: &Kernel,
    cache: &SecretKeyCache,
    generation: i64,
    text: &str,
) -> Result<SecretPrincipal, SecretKeyError> {
    if !key_format::is_sound(PREFIX, text) {
        return Err(SecretKeyError::Invalid);
    }
    let hash = key_format::hash(text);
    let entry = if let Some(known) = cache.0.get(&hash).filter(|entry| entry.generation == generation) {
        known
    } else {
        let key = store::find_by_hash(kernel.db.reader(), &hash).await?.ok_or(SecretKeyError::Invalid)?;
        let used_at = AtomicI64::new(key.used_at.map_or(0, |at| at.0));
        let entry = Arc::new(Entry { key, generation, used_at });
        cache.0.insert(hash, Arc::clone(&entry));
        entry
    };
    count(kernel, &entry.key).await?;
    touch(kernel, &entry).await?;
    Ok(SecretPrincipal { key: entry.key.clone() })
}

async fn count(kernel: &Kernel, key: &Model) -> Result<(), SecretKeyError> {
    let config = &kernel.config.secret_keys;
    let limits: [(Limit, &str, String); 2] = [
        (config.per_key, "secret_keys.key", key.id.to_string()),
        (config.per_project, "secret_keys.project", key.project_id.to_string()),
    ];
    let now = kernel.clock.now();
    for (limit, scope, identifier) in limits {
        let checked = rate_limit::check(kernel.db.writer(), &kernel.keys, now, limit, (scope, &identifier)).await?;
        if let Verdict::Denied(wait) = checked {
            return Err(SecretKeyError::Throttled(wait));
        }
    }
    Ok(())
}

async fn touch(kernel: &Kernel, entry: &Entry) -> Result<(), SecretKeyError> {
    let now = kernel.clock.now();
    let known = entry.used_at.load(Ordering::Relaxed);
    let is_due = now.since(Timestamp(known)) >= TOUCH;
    if !is_due || entry.used_at.compare_exchange(known, now.0, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return Ok(());
    }
    let tx = kernel.db.write_tx().await?;
    store::touch(&*tx, entry.key.id, now, now - TOUCH).await?;
    tx.commit_now().await?;
    Ok(())
}

/// Whether `text` is a secret key of this project, for operations that take one beside another credential. It is counted
/// nowhere.
///
/// # Errors
/// When the database fails.
pub async fn verify<C: ConnectionTrait>(db: &C, project_id: ProjectId, text: &str) -> Result<Option<Model>, DbErr> {
    if !key_format::is_sound(PREFIX, text) {
        return Ok(None);
    }
    let found = store::find_by_hash(db, &key_format::hash(text)).await?;
    Ok(found.filter(|key| key.project_id == project_id))
}

/// The project's keys, the newest first.
///
/// # Errors
/// When the actor may not manage the project, or the database fails.
pub async fn list(
    kernel: &Kernel,
    actor: &Actor,
    project_id: ProjectId,
    page: (u64, Option<SecretKeyId>),
) -> Result<Vec<Model>, SecretKeyError> {
    let db = kernel.db.reader();
    projects::require(db, actor, project_id, Permission::ManageProjects).await?;
    Ok(store::list(db, project_id, page).await?)
}

/// Makes a key.
///
/// # Errors
/// When the actor may not manage the project, the label is none or taken, a scope is none of [`SCOPES`], or the database
/// fails.
pub async fn create(
    kernel: &Kernel,
    client: &Client,
    actor: &Actor,
    project_id: ProjectId,
    (label, scopes): (&str, &[String]),
) -> Result<Created, SecretKeyError> {
    const ACTION: &str = "secret_keys.create";
    let by = By { actor, client };
    let (tx, project) = projects::enter(kernel, by, project_id, (Permission::ManageProjects, ACTION)).await?;
    let label = label.trim();
    if label.is_empty() || label.chars().count() > LABEL_LIMIT || label.chars().any(char::is_control) {
        return Err(SecretKeyError::Label);
    }
    let scopes = check_scopes(scopes)?;
    let secret_key = key_format::mint(PREFIX);
    let id = SecretKeyId::next();
    let row = ActiveModel {
        id: Set(id),
        project_id: Set(project_id),
        label: Set(label.to_owned()),
        secret_hash: Set(key_format::hash(secret_key.expose())),
        mask: Set(key_format::mask(secret_key.expose())),
        scopes: Set(scopes.to_string()),
        created_by: Set(actor.user_id),
        created_at: Set(kernel.clock.now()),
        rolled_at: Set(None),
        used_at: Set(None),
        exposed_at: Set(None),
    };
    store::insert(&*tx, row)
        .await
        .map_err(|err| if is_unique_violation(&err) { SecretKeyError::LabelTaken } else { err.into() })?;
    let key = store::find(&*tx, project_id, id).await?.ok_or(SecretKeyError::NotFound)?;
    orgs::record(kernel, &tx, by, project.organization_id, (ACTION, Outcome::Success, facts(&key))).await?;
    tx.commit().await?;
    Ok(Created { key, secret_key })
}

fn check_scopes(wanted: &[String]) -> Result<Scopes, SecretKeyError> {
    if wanted.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(SecretKeyError::Scope);
    }
    Scopes::parse(wanted).map_err(|_| SecretKeyError::Scope)
}

/// Gives a key another secret; the former one is refused from now on.
///
/// # Errors
/// When the actor may not manage the project, it has no such key, or the database fails.
pub async fn roll(
    kernel: &Kernel,
    client: &Client,
    actor: &Actor,
    (project_id, id): (ProjectId, SecretKeyId),
) -> Result<Created, SecretKeyError> {
    const ACTION: &str = "secret_keys.roll";
    let by = By { actor, client };
    let (tx, project) = projects::enter(kernel, by, project_id, (Permission::ManageProjects, ACTION)).await?;
    let secret_key = key_format::mint(PREFIX);
    let (hash, mask) = (key_format::hash(secret_key.expose()), key_format::mask(secret_key.expose()));
    let rolled = store::roll(&*tx, (project_id, id), (&hash, &mask), kernel.clock.now()).await?;
    let key = rolled.ok_or(SecretKeyError::NotFound)?;
    orgs::record(kernel, &tx, by, project.organization_id, (ACTION, Outcome::Success, facts(&key))).await?;
    tx.commit().await?;
    Ok(Created { key, secret_key })
}

/// Deletes a key; it is refused from now on.
///
/// # Errors
/// When the actor may not manage the project, it has no such key, or the database fails.
pub async fn delete(
    kernel: &Kernel,
    client: &Client,
    actor: &Actor,
    (project_id, id): (ProjectId, SecretKeyId),
) -> Result<(), SecretKeyError> {
    const ACTION: &str = "secret_keys.delete";
    let by = By { actor, client };
    let (tx, project) = projects::enter(kernel, by, project_id, (Permission::ManageProjects, ACTION)).await?;
    let key = store::find(&*tx, project_id, id).await?.ok_or(SecretKeyError::NotFound)?;
    store::delete(&*tx, project_id, id).await?;
    orgs::record(kernel, &tx, by, project.organization_id, (ACTION, Outcome::Success, facts(&key))).await?;
    tx.commit().await?;
    Ok(())
}

/// What is audited of a key: no part of its secret but the mask.
fn facts(key: &Model) -> Value {
    json!({ "secret_key_id": key.id, "project_id": key.project_id, "mask": key.mask, "scopes": key.scopes })
}
