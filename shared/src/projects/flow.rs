//! Use cases: the gate, and creating a project.

use sea_orm::{ConnectionTrait, DbErr};

use super::{Project, ProjectError, ProjectId, store};
use crate::{
    clock::Timestamp,
    db::Tx,
    orgs::{self, Access, Actor, OrgId, Permission},
    secret,
};

/// What every project token begins with.
const PREFIX: &str = "gpc_";

/// The gate to everything that belongs to a project.
///
/// # Errors
/// [`ProjectError::NotFound`] when the actor is no member of its organization or the credential does not reach it, that
/// the role does not allow it, or that the database failed.
pub async fn require<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    project_id: ProjectId,
    permission: Permission,
) -> Result<(Project, Access), ProjectError> {
    let project = store::find(db, project_id).await?.ok_or(ProjectError::NotFound)?;
    if !actor.reaches_project(project_id.0) {
        return Err(ProjectError::NotFound);
    }
    let access = orgs::require(db, actor, project.organization_id, permission).await?;
    Ok((project, access))
}

/// Creates a project.
///
/// # Errors
/// When the database fails.
pub async fn create(tx: &Tx, org_id: OrgId, name: &str, now: Timestamp) -> Result<ProjectId, DbErr> {
    let project_token = secret::mint(PREFIX);
    store::insert(&**tx, org_id, name, project_token.expose().clone(), now).await
}
