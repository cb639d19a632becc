//! Use cases: the gate, and what is done with an organization as a whole.

mod members;
mod update;

use sea_orm::{ConnectionTrait, DbErr};
use serde_json::{Value, json};
use uuid::Uuid;

pub use members::{Member, find_admins, join, list_members, remove_member, update_member};
pub use update::{OrgChange, PolicyChange, Span, checked_name, update};

use super::{Actor, Credential, OrgError, OrgId, Organization, Permission, Role, store};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    clock::Timestamp,
    db::Tx,
    kernel::Kernel,
    users::UserId,
};

/// What the gate lets through: the organization, and the actor's role there.
#[derive(Clone, Debug)]
pub struct Access {
    /// The organization.
    pub organization: Organization,
    /// What the actor is there.
    pub role: Role,
}

/// Who changes something, and from where.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// From where.
    pub client: &'a Client,
}

/// The gate to everything that belongs to an organization.
///
/// # Errors
/// [`OrgError::NotFound`] when the actor is no member, [`OrgError::SecondFactor`] when the organization demands one that is
/// missing, [`OrgError::Forbidden`] when the role does not allow it, an error of its own when the organization or the limits
/// of an API key do not allow the key, or the database fails.
pub async fn require<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    org_id: OrgId,
    permission: Permission,
) -> Result<Access, OrgError> {
    let user_id = actor.user_id.ok_or(OrgError::NotFound)?;
    let role = store::find_role(db, org_id, user_id).await?.ok_or(OrgError::NotFound)?;
    if !actor.reaches_organization(org_id) {
        return Err(OrgError::OutOfReach);
    }
    let organization = store::find(db, org_id).await?.ok_or(OrgError::NotFound)?;
    allow(&organization, role, &actor.credential)?;
    if role.may(permission) { Ok(Access { organization, role }) } else { Err(OrgError::Forbidden) }
}

/// The gate for a project's own credential, which passes as a member: the caller has seen that the organization is the
/// project's.
///
/// # Errors
/// [`OrgError::Forbidden`] when a member may not do it, or the database fails.
pub async fn require_for_project<C: ConnectionTrait>(
    db: &C,
    org_id: OrgId,
    permission: Permission,
) -> Result<Access, OrgError> {
    let organization = store::find(db, org_id).await?.ok_or(OrgError::NotFound)?;
    let role = Role::Member;
    if role.may(permission) { Ok(Access { organization, role }) } else { Err(OrgError::Forbidden) }
}

/// The organizations that the actor is a member of, with the role in each, without those that the credential does not
/// reach or that do not allow it.
///
/// # Errors
/// When the database fails.
pub async fn list_reachable<C: ConnectionTrait>(db: &C, actor: &Actor) -> Result<Vec<(Organization, Role)>, DbErr> {
    let Some(user_id) = actor.user_id else { return Ok(Vec::new()) };
    let mut found = store::list_of_user(db, user_id).await?;
    found.retain(|(organization, role)| {
        actor.reaches_organization(organization.id) && allow(organization, *role, &actor.credential).is_ok()
    });
    Ok(found)
}

/// Whether an organization allows a credential to somebody with this role.
fn allow(organization: &Organization, role: Role, credential: &Credential) -> Result<(), OrgError> {
    if let Some(shortfall) = credential.shortfall(organization) {
        return Err(shortfall.into());
    }
    match credential {
        Credential::ApiKey { .. } if role < Role::Admin && !organization.allows_member_api_keys => {
            Err(OrgError::KeysNotAllowed)
        }
        Credential::ApiKey { is_in_query: true, .. } if !organization.allows_query_api_keys => {
            Err(OrgError::QueryKeysNotAllowed)
        }
        Credential::Session { .. } | Credential::ApiKey { .. } | Credential::SecretKey { .. } => Ok(()),
    }
}

/// Whether the organizations of a user, all of them together, leave a personal API key anything to be used for: it is
/// refused everywhere once all that it reaches refuse it.
///
/// # Errors
/// Why it is refused.
pub fn allow_api_key(memberships: &[(Organization, Role)], actor: &Actor) -> Result<(), OrgError> {
    let reached: Vec<_> =
        memberships.iter().filter(|(organization, _)| actor.reaches_organization(organization.id)).collect();
    let is_limited =
        matches!(&actor.credential, Credential::ApiKey { organization_ids, .. } if !organization_ids.is_empty());
    if reached.is_empty() {
        return match actor.credential {
            _ if is_limited => Err(OrgError::OutOfReach),
            // Only an organization can allow that.
            Credential::ApiKey { is_in_query: true, .. } => Err(OrgError::QueryKeysNotAllowed),
            Credential::Session { .. } | Credential::ApiKey { .. } | Credential::SecretKey { .. } => Ok(()),
        };
    }
    let mut refusal = Ok(());
    for (organization, role) in reached {
        refusal = allow(organization, *role, &actor.credential);
        if refusal.is_ok() {
            break;
        }
    }
    refusal
}

/// Begins a change in an organization: passes the gate in a transaction in which no other change of the organization
/// happens. A refusal is audited as a failed `action`.
///
/// # Errors
/// As [`require`].
pub async fn enter(
    kernel: &Kernel,
    by: By<'_>,
    org_id: OrgId,
    (permission, action): (Permission, &'static str),
) -> Result<(Tx, Access), OrgError> {
    let tx = kernel.db.write_tx().await?;
    store::lock(&*tx, org_id).await?;
    match require(&*tx, by.actor, org_id, permission).await {
        Ok(access) => Ok((tx, access)),
        Err(OrgError::Forbidden) => {
            refuse(kernel, tx, by, (org_id, action), "forbidden").await?;
            Err(OrgError::Forbidden)
        }
        Err(err) => Err(err),
    }
}

/// Audits an attempt that is refused, in a transaction that did nothing else.
///
/// # Errors
/// When the database fails.
pub async fn refuse(
    kernel: &Kernel,
    tx: Tx,
    by: By<'_>,
    (org_id, action): (OrgId, &'static str),
    reason: &'static str,
) -> Result<(), DbErr> {
    record(kernel, &tx, by, org_id, (action, Outcome::Failure, json!({ "reason": reason }))).await?;
    tx.commit().await
}

/// Writes an audit row of an organization in the caller's transaction; returns its id.
///
/// # Errors
/// When the database fails.
pub async fn record(
    kernel: &Kernel,
    tx: &Tx,
    by: By<'_>,
    org_id: OrgId,
    (action, outcome, detail): (&'static str, Outcome, Value),
) -> Result<Uuid, DbErr> {
    let user_id = by.actor.user_id.map(|user_id| user_id.0);
    let event = AuditEvent { action, outcome, user_id, client: Some(by.client), detail };
    audit::record_in(&**tx, kernel.clock.as_ref(), org_id.0, event).await
}

/// Creates an organization with its first owner.
///
/// # Errors
/// When the database fails.
pub async fn create(tx: &Tx, name: &str, owner: UserId, now: Timestamp) -> Result<OrgId, DbErr> {
    let id = store::insert(&**tx, name, now).await?;
    store::insert_member(&**tx, id, owner, Role::Owner, now).await?;
    Ok(id)
}

/// Creates an organization at the wish of a user, who becomes its owner.
///
/// # Errors
/// When the name does not validate, the user owns as many as one may own, or the database fails.
pub async fn establish(kernel: &Kernel, by: By<'_>, name: &str) -> Result<Access, OrgError> {
    let owner = by.actor.user_id.ok_or(OrgError::Forbidden)?;
    let name = checked_name(name).map_err(|error| OrgError::Invalid(vec![error]))?;
    let tx = kernel.db.write_tx().await?;
    let count = store::count_owned(&*tx, owner).await?;
    let limit = kernel.config.orgs.max_owned_per_user;
    if count >= limit {
        return Err(OrgError::LimitReached(format!("You own {count} organizations, {limit} are allowed.")));
    }
    let id = create(&tx, &name, owner, kernel.clock.now()).await?;
    record(kernel, &tx, by, id, ("orgs.create", Outcome::Success, json!({ "name": name }))).await?;
    let organization = store::find(&*tx, id).await?.ok_or(OrgError::NotFound)?;
    tx.commit().await?;
    Ok(Access { organization, role: Role::Owner })
}

/// The organizations that the actor reaches, in the order of their creation, from after `page.1` on.
///
/// # Errors
/// When the database fails.
pub async fn list<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    (limit, after): (u64, Option<OrgId>),
) -> Result<Vec<Access>, OrgError> {
    let mut all = list_reachable(db, actor).await?;
    all.retain(|(organization, _)| Some(organization.id) > after);
    let page = all.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(page.map(|(organization, role)| Access { organization, role }).collect())
}

/// Takes an organization away from everybody at once, in the caller's transaction: nobody is a member any more. Its row
/// stays until what belongs to it is gone.
///
/// # Errors
/// When the database fails.
pub async fn close(tx: &Tx, org_id: OrgId, now: Timestamp) -> Result<(), DbErr> {
    store::mark_deleted(&**tx, org_id, now).await?;
    store::delete_members(&**tx, org_id).await
}

/// The organizations that have no active owner but this user, whose rows stay as they are until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn list_owned_alone(tx: &Tx, user_id: UserId) -> Result<Vec<Organization>, DbErr> {
    let mut alone = Vec::new();
    for (organization, role) in store::list_of_user(&**tx, user_id).await? {
        if role == Role::Owner {
            store::lock(&**tx, organization.id).await?;
            // They may have stepped down while this waited.
            let is_owner = store::find_role(&**tx, organization.id, user_id).await? == Some(Role::Owner);
            if is_owner && store::is_last_owner(&**tx, organization.id, user_id).await? {
                alone.push(organization);
            }
        }
    }
    Ok(alone)
}
