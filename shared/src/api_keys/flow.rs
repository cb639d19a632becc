//! Use cases: creating, changing, rolling and deleting keys, and hearing that one leaked.

use sea_orm::{ActiveValue::Set, DbErr};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ApiKeyError, ApiKeyId,
    entity::{ActiveModel, Model, State, join},
    jobs::{NotifyKeyCreated, NotifyKeyExposed},
    store,
    verify::PREFIX,
};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    clock::Timestamp,
    db::Tx,
    domains,
    jobs::enqueue,
    kernel::Kernel,
    key_format,
    orgs::{self, OrgId, Permission, Scopes},
    projects::{self, ProjectId},
    rate_limit::{self, Verdict},
    secret::Redacted,
    secret_keys,
    sessions::{self, Principal, Sensitivity},
    users::{self, User, UserId},
};

/// Longest label, in characters.
const LABEL_LIMIT: usize = 64;
/// How long a key counts as in use after its last use, where an admin is shown it.
const RECENT_DAYS: u64 = 7;

/// What a key is limited to; empty for everything of its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Organizations.
    pub organizations: Vec<OrgId>,
    /// Projects.
    pub projects: Vec<ProjectId>,
}

/// What a key is to be. Absent members stay as they are, where it exists.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// What the user calls it.
    pub label: Option<String>,
    /// Scopes.
    pub scopes: Option<Vec<String>>,
    /// Limits.
    pub organizations: Option<Vec<OrgId>>,
    /// Limits.
    pub projects: Option<Vec<ProjectId>>,
}

/// A key that was just made or rolled; its secret is not recoverable later.
#[derive(Debug)]
pub struct Created {
    /// The key.
    pub key: Model,
    /// What programs present from now on.
    pub api_key: Redacted<String>,
}

/// The user's keys, the newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(kernel: &Kernel, user: &User, page: (u64, Option<ApiKeyId>)) -> Result<Vec<Model>, ApiKeyError> {
    Ok(store::list(kernel.db.reader(), user.id, page).await?)
}

/// One key of the user.
///
/// # Errors
/// When the user has no such key, or the database fails.
pub async fn find(kernel: &Kernel, user_id: UserId, id: ApiKeyId) -> Result<Model, ApiKeyError> {
    store::find(kernel.db.reader(), user_id, id).await?.ok_or(ApiKeyError::NotFound)
}

/// Refuses a session that did not come by a provider where the user's domain demands one: what it makes would outlive it.
async fn ensure_may_make(kernel: &Kernel, tx: &Tx, principal: &Principal) -> Result<(), ApiKeyError> {
    match principal.user.address().filter(|_| !principal.has_amr("fed")) {
        Some(email) => Ok(domains::ensure_password_allowed(kernel, &**tx, &email).await??),
        None => Ok(()),
    }
}

/// Makes a key.
///
/// # Errors
/// When the last proof of identity is too old, the domain demands a provider that the session did not come by, the wish is
/// none, the user has as many keys as one may have, or is no member where the key is to be limited to.
pub async fn create(
    kernel: &Kernel,
    client: &Client,
    principal: &Principal,
    wish: Wish,
) -> Result<Created, ApiKeyError> {
    sessions::require_recent(kernel, principal, Sensitivity::Sensitive)?;
    let label = check_label(&wish.label.unwrap_or_default())?;
    let scopes = Scopes::parse(&wish.scopes.unwrap_or_default())?;
    let (now, user) = (kernel.clock.now(), &principal.user);
    let api_key = key_format::mint(PREFIX);
    let tx = kernel.db.write_tx().await?;
    ensure_may_make(kernel, &tx, principal).await?;
    let reach =
        Reach { organizations: wish.organizations.unwrap_or_default(), projects: wish.projects.unwrap_or_default() };
    let reach = check_reach(&tx, principal, reach).await?;
    make_room(kernel, &tx, user, now).await?;
    let id = ApiKeyId::next();
    let row = ActiveModel {
        id: Set(id),
        user_id: Set(user.id),
        label: Set(label),
        secret_hash: Set(key_format::hash(api_key.expose())),
        mask: Set(key_format::mask(api_key.expose())),
        scopes: Set(scopes.to_string()),
        organization_ids: Set(join(&reach.organizations)),
        project_ids: Set(join(&reach.projects)),
        auth_epoch: Set(user.auth_epoch),
        created_at: Set(now),
        active_at: Set(now),
        ..ActiveModel::default()
    };
    store::insert(&*tx, row).await?;
    let key = store::find_any(&*tx, id).await?.ok_or(ApiKeyError::NotFound)?;
    let audit_id = record(kernel, &tx, Some(client), (user.id, "api_keys.create", facts(&key))).await?;
    enqueue(&tx, kernel.clock.as_ref(), &NotifyKeyCreated { api_key_id: id, audit_id }).await?;
    tx.commit().await?;
    Ok(Created { key, api_key })
}

/// Changes label, scopes or limits of a key.
///
/// # Errors
/// As [`create`], or when the user has no such key.
pub async fn update(
    kernel: &Kernel,
    client: &Client,
    principal: &Principal,
    id: ApiKeyId,
    wish: Wish,
) -> Result<Model, ApiKeyError> {
    sessions::require_recent(kernel, principal, Sensitivity::Sensitive)?;
    let user_id = principal.user.id;
    let tx = kernel.db.write_tx().await?;
    let present = store::find(&*tx, user_id, id).await?.ok_or(ApiKeyError::NotFound)?;
    let mut change = ActiveModel::default();
    if let Some(label) = wish.label {
        change.label = Set(check_label(&label)?);
    }
    if let Some(scopes) = wish.scopes {
        change.scopes = Set(Scopes::parse(&scopes)?.to_string());
    }
    if wish.organizations.is_some() || wish.projects.is_some() {
        let reach = Reach {
            organizations: wish.organizations.unwrap_or_else(|| present.organizations()),
            projects: wish.projects.unwrap_or_else(|| present.projects().into_iter().map(ProjectId).collect()),
        };
        let reach = check_reach(&tx, principal, reach).await?;
        change.organization_ids = Set(join(&reach.organizations));
        change.project_ids = Set(join(&reach.projects));
    }
    if change == ActiveModel::default() {
        return Ok(present);
    }
    let key = store::change(&*tx, user_id, id, change).await?.ok_or(ApiKeyError::NotFound)?;
    record(kernel, &tx, Some(client), (user_id, "api_keys.update", facts(&key))).await?;
    tx.commit().await?;
    Ok(key)
}

/// Gives a key another secret; the former one is refused from now on. A key that had expired, ended or leaked is good
/// again.
///
/// # Errors
/// When the last proof of identity is too old, the domain demands a provider that the session did not come by, the user has
/// no such key, or as many others as one may have.
pub async fn roll(
    kernel: &Kernel,
    client: &Client,
    principal: &Principal,
    id: ApiKeyId,
) -> Result<Created, ApiKeyError> {
    sessions::require_recent(kernel, principal, Sensitivity::Sensitive)?;
    let (now, user) = (kernel.clock.now(), &principal.user);
    let api_key = key_format::mint(PREFIX);
    let tx = kernel.db.write_tx().await?;
    ensure_may_make(kernel, &tx, principal).await?;
    let present = store::find(&*tx, user.id, id).await?.ok_or(ApiKeyError::NotFound)?;
    if present.state(user.auth_epoch, kernel.config.api_keys.inactivity(), now) != State::Active {
        make_room(kernel, &tx, user, now).await?;
    }
    let change = ActiveModel {
        secret_hash: Set(key_format::hash(api_key.expose())),
        mask: Set(key_format::mask(api_key.expose())),
        auth_epoch: Set(user.auth_epoch),
        active_at: Set(now),
        rolled_at: Set(Some(now)),
        warned_30_at: Set(None),
        warned_7_at: Set(None),
        expired_at: Set(None),
        exposed_at: Set(None),
        ..ActiveModel::default()
    };
    let key = store::change(&*tx, user.id, id, change).await?.ok_or(ApiKeyError::NotFound)?;
    let detail = json!({ "api_key_id": id, "mask": key.mask, "former_mask": present.mask });
    record(kernel, &tx, Some(client), (user.id, "api_keys.roll", detail)).await?;
    tx.commit().await?;
    Ok(Created { key, api_key })
}

/// Deletes a key; it is refused from now on.
///
/// # Errors
/// When the last proof of identity is too old, or the user has no such key.
pub async fn delete(kernel: &Kernel, client: &Client, principal: &Principal, id: ApiKeyId) -> Result<(), ApiKeyError> {
    sessions::require_recent(kernel, principal, Sensitivity::Sensitive)?;
    let user_id = principal.user.id;
    let tx = kernel.db.write_tx().await?;
    let key = store::find(&*tx, user_id, id).await?.ok_or(ApiKeyError::NotFound)?;
    store::delete(&*tx, user_id, id).await?;
    record(kernel, &tx, Some(client), (user_id, "api_keys.delete", facts(&key))).await?;
    tx.commit().await?;
    Ok(())
}

/// Somebody found a key at `found_at`: it is refused from now on, and its owner told; of a project's secret key those who
/// manage the organization. False when it is none of ours, or
/// was known to have leaked.
///
/// # Errors
/// When there were too many reports, or the database fails.
pub async fn report_leak(kernel: &Kernel, client: &Client, text: &str, found_at: &str) -> Result<bool, ApiKeyError> {
    let (limit, now) = (kernel.config.api_keys.leaks_per_network, kernel.clock.now());
    let network = client.network();
    let scope = ("api_keys.leak", network.as_str());
    if let Verdict::Denied(wait) = rate_limit::check(kernel.db.writer(), &kernel.keys, now, limit, scope).await? {
        return Err(ApiKeyError::Throttled(wait));
    }
    if text.starts_with(secret_keys::PREFIX) {
        return Ok(secret_keys::expose(kernel, client, text, found_at).await?);
    }
    let tx = kernel.db.write_tx().await?;
    let Some(key) = store::find_by_hash(&*tx, &key_format::hash(text)).await? else { return Ok(false) };
    if !store::expose(&*tx, &key, now).await? {
        return Ok(false);
    }
    let detail = json!({ "api_key_id": key.id, "mask": key.mask, "found_at": found_at });
    let audit_id = record(kernel, &tx, Some(client), (key.user_id, "api_keys.expose", detail)).await?;
    enqueue(&tx, kernel.clock.as_ref(), &NotifyKeyExposed { api_key_id: key.id, audit_id }).await?;
    tx.commit().await?;
    Ok(true)
}

/// A key of a member that reaches an organization, as its admins see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TouchingKey {
    /// The key.
    pub id: ApiKeyId,
    /// What its owner calls it.
    pub label: String,
    /// Its first and last four characters.
    pub mask: String,
    /// Last use.
    pub used_at: Option<Timestamp>,
    /// Whether that was in the last seven days.
    pub is_recent: bool,
}

/// The usable keys of a user that reach an organization. Whoever asks has passed its gate.
///
/// # Errors
/// When the database fails.
pub async fn touching(kernel: &Kernel, user_id: UserId, org_id: OrgId) -> Result<Vec<TouchingKey>, DbErr> {
    let (db, now) = (kernel.db.reader(), kernel.clock.now());
    let Some(user) = users::find(db, user_id).await? else { return Ok(Vec::new()) };
    let inactivity = kernel.config.api_keys.inactivity();
    let recently = now - std::time::Duration::from_secs(RECENT_DAYS * 86_400);
    let keys = store::list(db, user_id, (1000, None)).await?;
    let reaches = |key: &Model| key.organization_ids.is_empty() || key.organizations().contains(&org_id);
    let usable = keys.into_iter().filter(|key| key.state(user.auth_epoch, inactivity, now) == State::Active);
    Ok(usable
        .filter(reaches)
        .map(|key| TouchingKey {
            id: key.id,
            label: key.label,
            mask: key.mask,
            used_at: key.used_at,
            is_recent: key.used_at.is_some_and(|at| at > recently),
        })
        .collect())
}

fn check_label(label: &str) -> Result<String, ApiKeyError> {
    let label = label.trim();
    let is_label = !label.is_empty() && label.chars().count() <= LABEL_LIMIT && !label.chars().any(char::is_control);
    if is_label { Ok(label.to_owned()) } else { Err(ApiKeyError::Label) }
}

/// The limits, once the user has been found to be a member of all of them. Projects bring their organizations.
async fn check_reach(tx: &Tx, principal: &Principal, reach: Reach) -> Result<Reach, ApiKeyError> {
    let actor = principal.actor();
    let Reach { mut organizations, mut projects } = reach;
    for org_id in &organizations {
        orgs::require(&**tx, &actor, *org_id, Permission::View).await?;
    }
    let is_by_project = organizations.is_empty();
    for project_id in &projects {
        let (project, _) = projects::require(&**tx, &actor, *project_id, Permission::View).await?;
        if is_by_project {
            organizations.push(project.organization_id);
        }
    }
    organizations.sort_unstable();
    organizations.dedup();
    projects.sort_unstable();
    projects.dedup();
    Ok(Reach { organizations, projects })
}

/// Demands that the user may have one more active key. Others wait until this transaction ends.
async fn make_room(kernel: &Kernel, tx: &Tx, user: &User, now: Timestamp) -> Result<(), ApiKeyError> {
    let config = &kernel.config.api_keys;
    users::lock(&**tx, user.id).await?;
    let active = store::count_active(&**tx, user, now - config.inactivity()).await?;
    if active >= u64::from(config.max_per_user) { Err(ApiKeyError::TooMany) } else { Ok(()) }
}

/// What is audited of a key: no part of its secret but the mask.
fn facts(key: &Model) -> Value {
    json!({
        "api_key_id": key.id,
        "mask": key.mask,
        "scopes": key.scopes,
        "organization_ids": key.organizations(),
        "project_ids": key.projects(),
    })
}

pub(super) async fn record(
    kernel: &Kernel,
    tx: &Tx,
    client: Option<&Client>,
    (user_id, action, detail): (UserId, &'static str, Value),
) -> Result<Uuid, DbErr> {
    let event = AuditEvent { action, outcome: Outcome::Success, user_id: Some(user_id.0), client, detail };
    audit::record(&**tx, kernel.clock.as_ref(), event).await
}
