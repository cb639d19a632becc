//! Use cases: the gate, and creating an organization.

use sea_orm::{ConnectionTrait, DbErr};

use super::{Actor, Credential, OrgError, OrgId, Organization, Permission, Role, store};
use crate::{clock::Timestamp, db::Tx, users::UserId};

/// What the gate lets through: the organization, and the actor's role there.
#[derive(Clone, Debug)]
pub struct Access {
    /// The organization.
    pub organization: Organization,
    /// What the actor is there.
    pub role: Role,
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
        return if is_limited { Err(OrgError::OutOfReach) } else { Ok(()) };
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

/// Creates an organization with its first owner.
///
/// # Errors
/// When the database fails.
pub async fn create(tx: &Tx, name: &str, owner: UserId, now: Timestamp) -> Result<OrgId, DbErr> {
    let id = store::insert(&**tx, name, now).await?;
    store::insert_member(&**tx, id, owner, Role::Owner, now).await?;
    Ok(id)
}
