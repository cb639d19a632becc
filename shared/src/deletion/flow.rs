//! Use cases: deleting an organization, a project, a user.

use std::time::Duration;

use sea_orm::DbErr;
use serde_json::json;

use super::{DeletionError, PurgeProject};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    db::Tx,
    domains,
    identify::{self, DeletePersonsOf},
    jobs,
    kernel::Kernel,
    orgs::{self, By, OrgId, Permission},
    projects::{self, ProjectId},
    users::{self, UserId},
};

/// How long a request may take that began before its project was deleted.
const MARGIN: Duration = Duration::from_secs(60);

/// Deletes an organization: nobody reaches it or anything of it from now on, and jobs remove what belongs to it.
///
/// # Errors
/// When the role does not allow it, or the database fails.
pub async fn delete_organization(kernel: &Kernel, by: By<'_>, org_id: OrgId) -> Result<(), DeletionError> {
    const ACTION: &str = "orgs.delete";
    let (tx, access) = orgs::enter(kernel, by, org_id, (Permission::Delete, ACTION)).await?;
    let now = kernel.clock.now();
    let closed = projects::list_of_organizations(&*tx, &[org_id]).await?;
    for project in &closed {
        close_project(kernel, &tx, project.id).await?;
    }
    domains::remove_all(&*tx, org_id).await?;
    orgs::close(&tx, org_id, now).await?;
    let detail = json!({ "name": access.organization.name, "projects": closed.len() });
    orgs::record(kernel, &tx, by, org_id, (ACTION, Outcome::Success, detail)).await?;
    if closed.is_empty() {
        orgs::purge(&*tx, org_id).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Deletes a project: nobody reaches it and its token names nothing from now on, and a job removes what belongs to it.
///
/// # Errors
/// When the role does not allow it, or the database fails.
pub async fn delete_project(kernel: &Kernel, by: By<'_>, project_id: ProjectId) -> Result<(), DeletionError> {
    const ACTION: &str = "projects.delete";
    let (tx, project) = projects::enter(kernel, by, project_id, (Permission::ManageProjects, ACTION)).await?;
    close_project(kernel, &tx, project_id).await?;
    let detail = json!({ "project_id": project_id, "name": project.name });
    orgs::record(kernel, &tx, by, project.organization_id, (ACTION, Outcome::Success, detail)).await?;
    tx.commit().await?;
    Ok(())
}

async fn close_project(kernel: &Kernel, tx: &Tx, project_id: ProjectId) -> Result<(), DbErr> {
    let now = kernel.clock.now();
    if projects::close(&**tx, project_id, now).await? {
        // Gateways may know the token a little longer, and what they take until then is to go too.
        let known = Duration::from_secs(kernel.config.capture.project_cache_seconds);
        jobs::enqueue_at(tx, now, now + known + MARGIN, &PurgeProject { project_id }).await?;
    }
    Ok(())
}

/// Removes the rows of a project that was deleted, in the transaction of a job. What it captured goes first, `batch` rows
/// at a time; a job that finds more is followed by another one.
///
/// # Errors
/// When the database fails.
pub async fn purge_project(kernel: &Kernel, tx: &Tx, project_id: ProjectId, batch: u64) -> Result<(), DbErr> {
    if identify::purge(tx, project_id, batch).await? {
        return jobs::enqueue(tx, kernel.clock.as_ref(), &PurgeProject { project_id }).await.map(|_| ());
    }
    let Some((org_id, has_further)) = projects::purge(&**tx, project_id).await? else { return Ok(()) };
    if !has_further {
        // Does nothing to an organization that was not deleted.
        orgs::purge(&**tx, org_id).await?;
    }
    Ok(())
}

/// Deletes a user and everything that is theirs. What organizations own stays with them.
///
/// # Errors
/// When there is no such user, organizations would be left without an owner, or the database fails.
pub async fn delete_user(kernel: &Kernel, client: Option<&Client>, user_id: UserId) -> Result<(), DeletionError> {
    let tx = kernel.db.write_tx().await?;
    // Nothing can be given to them any more while this transaction lasts.
    if users::lock(&*tx, user_id).await?.is_none() {
        return Err(DeletionError::NoUser);
    }
    let alone = orgs::list_owned_alone(&tx, user_id).await?;
    let (outcome, detail) = if alone.is_empty() {
        (Outcome::Success, json!({}))
    } else {
        let ids: Vec<OrgId> = alone.iter().map(|organization| organization.id).collect();
        (Outcome::Failure, json!({ "reason": "last_owner", "organization_ids": ids }))
    };
    if alone.is_empty() {
        users::delete(&*tx, user_id).await?;
        jobs::enqueue(&tx, kernel.clock.as_ref(), &DeletePersonsOf { user_id }).await?;
    }
    let event = AuditEvent { action: "users.delete", outcome, user_id: Some(user_id.0), client, detail };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    if alone.is_empty() {
        return Ok(());
    }
    Err(DeletionError::LastOwner(alone.into_iter().map(|organization| organization.name).collect()))
}
