//! Use cases: the gate, and creating, changing and ending a project.

use sea_orm::{ConnectionTrait, DbErr};
use serde_json::json;

use super::{Project, ProjectError, ProjectId, store};
use crate::{
    audit::Outcome,
    clock::Timestamp,
    db::Tx,
    kernel::Kernel,
    orgs::{self, Access, Actor, By, Credential, OrgError, OrgId, Permission},
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

/// Begins a change of a project, as [`orgs::enter`] does of its organization.
///
/// # Errors
/// As [`require`].
pub async fn enter(
    kernel: &Kernel,
    by: By<'_>,
    project_id: ProjectId,
    need: (Permission, &'static str),
) -> Result<(Tx, Project), ProjectError> {
    let project = store::find(kernel.db.reader(), project_id).await?.ok_or(ProjectError::NotFound)?;
    let (tx, _) = orgs::enter(kernel, by, project.organization_id, need).await?;
    if !by.actor.reaches_project(project_id.0) {
        return Err(OrgError::OutOfReach.into());
    }
    // It may have been deleted before the transaction began.
    let project = store::find(&*tx, project_id).await?.ok_or(ProjectError::NotFound)?;
    Ok((tx, project))
}

/// Creates a project.
///
/// # Errors
/// When the database fails.
pub async fn create(tx: &Tx, org_id: OrgId, name: &str, now: Timestamp) -> Result<ProjectId, DbErr> {
    let project_token = secret::mint(PREFIX);
    store::insert(&**tx, org_id, name, project_token.expose().clone(), now).await
}

/// Creates a project at the wish of somebody who may.
///
/// # Errors
/// When the role does not allow it, the name does not validate, the organization has as many as one may have, or the
/// database fails.
pub async fn establish(kernel: &Kernel, by: By<'_>, org_id: OrgId, name: &str) -> Result<Project, ProjectError> {
    const ACTION: &str = "projects.create";
    let entered = orgs::enter(kernel, by, org_id, (Permission::ManageProjects, ACTION)).await;
    let (tx, _) = entered.map_err(ProjectError::Organization)?;
    let name = orgs::checked_name(name).map_err(|error| OrgError::Invalid(vec![error]))?;
    let (count, limit) = (store::count(&*tx, org_id).await?, kernel.config.projects.max_per_organization);
    if count >= limit {
        let detail = format!("The organization has {count} projects, {limit} are allowed.");
        return Err(OrgError::LimitReached(detail).into());
    }
    let id = create(&tx, org_id, &name, kernel.clock.now()).await?;
    let detail = json!({ "project_id": id, "name": name });
    orgs::record(kernel, &tx, by, org_id, (ACTION, Outcome::Success, detail)).await?;
    let project = store::find(&*tx, id).await?.ok_or(ProjectError::NotFound)?;
    tx.commit().await?;
    Ok(project)
}

/// The projects that the actor reaches, of one organization or of all of theirs, in the order of their creation, from
/// after a given one on.
///
/// # Errors
/// When the actor is no member of the organization that is asked for, or the database fails.
pub async fn list<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    org_id: Option<OrgId>,
    (limit, mut after): (u64, Option<ProjectId>),
) -> Result<Vec<Project>, ProjectError> {
    if let Credential::SecretKey { project_id, .. } = &actor.credential {
        let own = store::find(db, ProjectId(*project_id)).await?;
        let is_asked = |project: &Project| {
            org_id.is_none_or(|org_id| org_id == project.organization_id) && Some(project.id) > after
        };
        return Ok(own.filter(is_asked).into_iter().collect());
    }
    let org_ids = if let Some(org_id) = org_id {
        let access = orgs::require(db, actor, org_id, Permission::View).await.map_err(ProjectError::Organization)?;
        vec![access.organization.id]
    } else {
        orgs::list_reachable(db, actor).await?.into_iter().map(|(organization, _)| organization.id).collect()
    };
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    loop {
        let rows = store::page(db, &org_ids, (limit, after)).await?;
        let is_last = rows.len() < wanted;
        after = rows.last().map(|project| project.id);
        found.extend(rows.into_iter().filter(|project| actor.reaches_project(project.id.0)));
        if is_last || found.len() >= wanted {
            found.truncate(wanted);
            return Ok(found);
        }
    }
}

/// Renames a project.
///
/// # Errors
/// When the role does not allow it, the name does not validate, or the database fails.
pub async fn rename(kernel: &Kernel, by: By<'_>, project_id: ProjectId, name: &str) -> Result<Project, ProjectError> {
    const ACTION: &str = "projects.update";
    let (tx, project) = enter(kernel, by, project_id, (Permission::ManageProjects, ACTION)).await?;
    let name = orgs::checked_name(name).map_err(|error| OrgError::Invalid(vec![error]))?;
    let detail = json!({ "project_id": project_id, "name": name });
    let changed = store::set_name(&*tx, project_id, &name, kernel.clock.now()).await?;
    orgs::record(kernel, &tx, by, project.organization_id, (ACTION, Outcome::Success, detail)).await?;
    tx.commit().await?;
    changed.ok_or(ProjectError::NotFound)
}

/// Gives a project a new token; the one before names nothing any more.
///
/// # Errors
/// When the role does not allow it, or the database fails.
pub async fn roll_project_token(kernel: &Kernel, by: By<'_>, project_id: ProjectId) -> Result<Project, ProjectError> {
    const ACTION: &str = "projects.roll_token";
    let (tx, project) = enter(kernel, by, project_id, (Permission::ManageProjects, ACTION)).await?;
    let project_token = secret::mint(PREFIX);
    let changed = store::set_project_token(&*tx, project_id, project_token.expose(), kernel.clock.now()).await?;
    let detail = json!({ "project_id": project_id });
    orgs::record(kernel, &tx, by, project.organization_id, (ACTION, Outcome::Success, detail)).await?;
    tx.commit().await?;
    changed.ok_or(ProjectError::NotFound)
}
