//! Use cases: the gate, and creating a project.

use sea_orm::{ConnectionTrait, DbErr};

use super::{Project, ProjectError, ProjectId, store};
use crate::{
    clock::Timestamp,
    db::Tx,
    orgs::{self, Access, Actor, OrgError, OrgId, Permission},
    secret,
};

/// What every project token begins with.
const PREFIX: &str = "gpc_";

/// The gate to everything that belongs to a project.
///
/// # Errors
/// [`ProjectError::NotFound`] when the actor is no member of its organization, that the role, the organization or the
/// limits of a key do not allow it, or that the database failed.
pub async fn require<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    project_id: ProjectId,
    permission: Permission,
) -> Result<(Project, Access), ProjectError> {
    let project = store::find(db, project_id).await?.ok_or(ProjectError::NotFound)?;
    let org_id = project.organization_id;
    let access = if actor.is_project(project_id.0) {
        orgs::require_for_project(db, org_id, permission).await?
    } else {
        orgs::require(db, actor, org_id, permission).await?
    };
    if actor.reaches_project(project_id.0) { Ok((project, access)) } else { Err(OrgError::OutOfReach.into()) }
}

/// Creates a project.
///
/// # Errors
/// When the database fails.
pub async fn create(tx: &Tx, org_id: OrgId, name: &str, now: Timestamp) -> Result<ProjectId, DbErr> {
    let project_token = secret::mint(PREFIX);
    store::insert(&**tx, org_id, name, project_token.expose().clone(), now).await
}
