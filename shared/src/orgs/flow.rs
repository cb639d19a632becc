//! Use cases: the gate, and creating an organization.

use sea_orm::{ConnectionTrait, DbErr};

use super::{Actor, OrgError, OrgId, Organization, Permission, Role, store};
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
/// [`OrgError::NotFound`] when the actor is no member or the credential does not reach it, [`OrgError::Forbidden`] when
/// the role does not allow it, or the database fails.
pub async fn require<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    org_id: OrgId,
    permission: Permission,
) -> Result<Access, OrgError> {
    if !actor.reaches_organization(org_id) {
        return Err(OrgError::NotFound);
    }
    let user_id = actor.user_id.ok_or(OrgError::NotFound)?;
    let role = store::find_role(db, org_id, user_id).await?.ok_or(OrgError::NotFound)?;
    let organization = store::find(db, org_id).await?.ok_or(OrgError::NotFound)?;
    if role.may(permission) { Ok(Access { organization, role }) } else { Err(OrgError::Forbidden) }
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
