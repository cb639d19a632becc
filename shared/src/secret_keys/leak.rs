//! Leaked secret keys: refused from now on, and those who manage the organization are told.

use sea_orm::DbErr;
use serde_json::json;

use super::{NotifySecretKeyExposed, entity::Model, store};
use crate::{
    audit::{self, AuditEvent, AuditRow, Outcome},
    client::Client,
    jobs::enqueue,
    kernel::Kernel,
    key_format,
    orgs::{self, Permission},
    projects::{self, Project},
    users::{self, User},
};

/// Those who are told, at most.
const TOLD: u64 = 100;

/// Somebody found a key at `found_at`: it is refused until it is rolled. False when it is none of ours, or was known to
/// have leaked. Whoever calls this bounds how often.
///
/// # Errors
/// When the database fails.
pub async fn expose(kernel: &Kernel, client: &Client, text: &str, found_at: &str) -> Result<bool, DbErr> {
    let clock = kernel.clock.as_ref();
    let tx = kernel.db.write_tx().await?;
    let Some(key) = store::expose(&*tx, &key_format::hash(text), clock.now()).await? else { return Ok(false) };
    let event = AuditEvent {
        action: "secret_keys.expose",
        outcome: Outcome::Success,
        user_id: None,
        client: Some(client),
        detail: json!({
            "secret_key_id": key.id, "project_id": key.project_id, "mask": key.mask, "found_at": found_at,
        }),
    };
    // A project that is being deleted has nobody who could do anything about it.
    if let Some(project) = projects::find(&*tx, key.project_id).await? {
        let org_id = project.organization_id;
        let audit_id = audit::record_in(&*tx, clock, org_id.0, event).await?;
        for admin in orgs::find_admins(&*tx, org_id, TOLD).await? {
            let notice = NotifySecretKeyExposed { user_id: admin.id, secret_key_id: key.id, audit_id };
            enqueue(&tx, clock, &notice).await?;
        }
    } else {
        audit::record(&*tx, clock, event).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// What a notice of a leak is made of.
#[derive(Debug)]
pub struct ExposedNotice {
    /// Whom to tell.
    pub user: User,
    /// The key.
    pub key: Model,
    /// Its project.
    pub project: Project,
    /// The report.
    pub event: AuditRow,
}

/// What to tell of a leak; `None` when the key or its project is gone, or the user no longer manages the organization.
///
/// # Errors
/// When the database fails.
pub async fn exposed_notice(kernel: &Kernel, job: &NotifySecretKeyExposed) -> Result<Option<ExposedNotice>, DbErr> {
    let db = kernel.db.reader();
    let Some(key) = store::find_any(db, job.secret_key_id).await? else { return Ok(None) };
    let Some(project) = projects::find(db, key.project_id).await? else { return Ok(None) };
    let role = orgs::find_role(db, project.organization_id, job.user_id).await?;
    if !role.is_some_and(|role| role.may(Permission::ManageProjects)) {
        return Ok(None);
    }
    let user = users::find(db, job.user_id).await?.filter(User::is_active);
    let found = user.zip(audit::find(db, job.audit_id).await?);
    Ok(found.map(|(user, event)| ExposedNotice { user, key, project, event }))
}
