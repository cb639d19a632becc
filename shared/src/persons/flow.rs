//! Use cases: looking at persons, splitting and deleting them. Each passes the gate of the project first.

use serde_json::json;
use uuid::Uuid;

use super::{EventFilter, Page, PersonError, PersonFilter, Position, StoredEvent, StoredPerson, StoredWarning, store};
use crate::{
    audit::Outcome,
    client::Client,
    db::Tx,
    identify,
    kernel::Kernel,
    orgs::{self, Actor, By, Permission},
    projects::{self, Project, ProjectId},
};

/// Persons of a project, by their id.
///
/// # Errors
/// When the project is out of the actor's reach.
pub async fn list(
    kernel: &Kernel,
    actor: &Actor,
    project_id: ProjectId,
    filter: &PersonFilter,
    page: Page<Uuid>,
) -> Result<Vec<StoredPerson>, PersonError> {
    let db = kernel.db.reader();
    projects::require(db, actor, project_id, Permission::ReadPersons).await?;
    Ok(store::list(db, project_id, filter, page).await?)
}

/// One person.
///
/// # Errors
/// When the project is out of the actor's reach, or has no such person.
pub async fn get(
    kernel: &Kernel,
    actor: &Actor,
    project_id: ProjectId,
    person_id: Uuid,
) -> Result<StoredPerson, PersonError> {
    let db = kernel.db.reader();
    projects::require(db, actor, project_id, Permission::ReadPersons).await?;
    store::find(db, project_id, person_id).await?.ok_or(PersonError::NotFound)
}

/// Events of a project, the latest first.
///
/// # Errors
/// When the project is out of the actor's reach.
pub async fn list_events(
    kernel: &Kernel,
    actor: &Actor,
    project_id: ProjectId,
    filter: &EventFilter,
    page: Page<Position>,
) -> Result<Vec<StoredEvent>, PersonError> {
    let db = kernel.db.reader();
    projects::require(db, actor, project_id, Permission::ReadPersons).await?;
    Ok(store::list_events(db, project_id, filter, page).await?)
}

/// Warnings of a project, the latest first.
///
/// # Errors
/// When the project is out of the actor's reach.
pub async fn list_warnings(
    kernel: &Kernel,
    actor: &Actor,
    project_id: ProjectId,
    page: Page<Position>,
) -> Result<Vec<StoredWarning>, PersonError> {
    let db = kernel.db.reader();
    projects::require(db, actor, project_id, Permission::ReadPersons).await?;
    Ok(store::list_warnings(db, project_id, page).await?)
}

/// Gives every distinct id of a person but one a person of its own. Without a `main` one the properties go, too.
///
/// # Errors
/// When the project is out of the actor's reach, has no such person, or `main` is another person's.
pub async fn split(
    kernel: &Kernel,
    client: &Client,
    actor: &Actor,
    (project_id, person_id): (ProjectId, Uuid),
    main: Option<&str>,
) -> Result<StoredPerson, PersonError> {
    let tx = kernel.db.write_tx().await?;
    let (project, _) = projects::require(&*tx, actor, project_id, Permission::ManagePersons).await?;
    let before = store::find(&*tx, project_id, person_id).await?.ok_or(PersonError::NotFound)?;
    if main.is_some_and(|main| before.distinct_ids.iter().all(|id| id != main)) {
        return Err(PersonError::NotItsId);
    }
    if !identify::split(kernel, &tx, (project_id, person_id), main).await? {
        return Err(PersonError::NotFound);
    }
    record(kernel, &tx, By { actor, client }, (&project, "persons.split"), person_id).await?;
    let after = store::find(&*tx, project_id, person_id).await?.ok_or(PersonError::NotFound)?;
    tx.commit().await?;
    Ok(after)
}

/// Deletes a person. What happened until now does not bring it back.
///
/// # Errors
/// When the project is out of the actor's reach, or has no such person.
pub async fn delete(
    kernel: &Kernel,
    client: &Client,
    actor: &Actor,
    (project_id, person_id): (ProjectId, Uuid),
) -> Result<(), PersonError> {
    let tx = kernel.db.write_tx().await?;
    let (project, _) = projects::require(&*tx, actor, project_id, Permission::ManagePersons).await?;
    if !identify::delete(kernel, &tx, (project_id, person_id)).await? {
        return Err(PersonError::NotFound);
    }
    record(kernel, &tx, By { actor, client }, (&project, "persons.delete"), person_id).await?;
    tx.commit().await?;
    Ok(())
}

async fn record(
    kernel: &Kernel,
    tx: &Tx,
    by: By<'_>,
    (project, action): (&Project, &'static str),
    person_id: Uuid,
) -> Result<(), PersonError> {
    let detail = json!({ "project_id": project.id, "person_id": person_id });
    orgs::record(kernel, tx, by, project.organization_id, (action, Outcome::Success, detail)).await?;
    Ok(())
}
