//! Use cases: making a code, taking it back, signing in with it, and what is told of that.

use sea_orm::{ConnectionTrait, DbErr};
use serde_json::json;
use uuid::Uuid;

use super::{BreakGlassCode, BreakGlassCodeId, NotifyBreakGlass, store};
use crate::{
    audit::{self, AuditEvent, AuditRow, Outcome},
    client::Client,
    db::Tx,
    jobs,
    kernel::Kernel,
    orgs::{self, By, OrgError, OrgId, Organization, Permission, Role},
    secret::{self, Redacted},
    users::{self, User},
};

/// What a code begins with.
const PREFIX: &str = "gpbg_";

/// What is audited when a code is used.
const USE: &str = "break_glass.use";

/// Those who manage an organization and are told, at most.
const TOLD: u64 = 100;

/// A code that was just made.
#[derive(Debug)]
pub struct Created {
    /// Its row.
    pub code: BreakGlassCode,
    /// The code itself, which nothing keeps.
    pub value: Redacted<String>,
}

/// Makes a code. An earlier one that nobody used is void.
///
/// # Errors
/// When the actor is no owner, or the database fails.
pub async fn create(kernel: &Kernel, by: By<'_>, org_id: OrgId) -> Result<Created, OrgError> {
    const ACTION: &str = "break_glass.create";
    let (tx, _) = orgs::enter(kernel, by, org_id, (Permission::BreakGlass, ACTION)).await?;
    let replaced = store::delete_live(&*tx, org_id).await?;
    let value = secret::mint(PREFIX);
    let code = BreakGlassCode {
        id: BreakGlassCodeId::next(),
        organization_id: org_id,
        digest: secret::digest(value.expose()),
        created_by: by.actor.user_id,
        created_at: kernel.clock.now(),
        used_by: None,
        used_at: None,
    };
    store::insert(&*tx, code.clone()).await?;
    let detail = json!({ "code_id": code.id, "replaced": replaced > 0 });
    let audit_id = orgs::record(kernel, &tx, by, org_id, (ACTION, Outcome::Success, detail)).await?;
    tell(kernel, &tx, org_id, audit_id).await?;
    tx.commit().await?;
    Ok(Created { code, value })
}

/// Takes the code back that nobody used, if there is one.
///
/// # Errors
/// When the actor is no owner, or the database fails.
pub async fn remove(kernel: &Kernel, by: By<'_>, org_id: OrgId) -> Result<(), OrgError> {
    const ACTION: &str = "break_glass.delete";
    let (tx, _) = orgs::enter(kernel, by, org_id, (Permission::BreakGlass, ACTION)).await?;
    let removed = store::delete_live(&*tx, org_id).await?;
    orgs::record(kernel, &tx, by, org_id, (ACTION, Outcome::Success, json!({ "removed": removed > 0 }))).await?;
    tx.commit().await?;
    Ok(())
}

/// The code of an organization that this is, if nobody has used it.
///
/// # Errors
/// When the database fails.
pub async fn find_live<C: ConnectionTrait>(
    db: &C,
    org_id: OrgId,
    value: &Redacted<String>,
) -> Result<Option<BreakGlassCode>, DbErr> {
    let found = store::find_live(db, org_id).await?;
    Ok(found.filter(|code| secret::equal(&code.digest, &secret::digest(value.expose()))))
}

/// Spends a code for a user whose password was right. False when they are no owner, or somebody else was faster.
///
/// # Errors
/// When the database fails.
pub async fn spend(kernel: &Kernel, client: &Client, user: &User, code: &BreakGlassCode) -> Result<bool, DbErr> {
    let (org_id, tx) = (code.organization_id, kernel.db.write_tx().await?);
    orgs::lock(&*tx, org_id).await?;
    let is_owner = orgs::find_role(&*tx, org_id, user.id).await? == Some(Role::Owner);
    let is_spent = is_owner && store::spend(&*tx, (org_id, code.id), user.id, kernel.clock.now()).await?;
    let event = AuditEvent {
        action: USE,
        outcome: if is_spent { Outcome::Success } else { Outcome::Failure },
        user_id: Some(user.id.0),
        client: Some(client),
        detail: json!({ "code_id": code.id, "is_owner": is_owner }),
    };
    let audit_id = audit::record_in(&*tx, kernel.clock.as_ref(), org_id.0, event).await?;
    if is_spent {
        tell(kernel, &tx, org_id, audit_id).await?;
    }
    tx.commit().await?;
    Ok(is_spent)
}

async fn tell(kernel: &Kernel, tx: &Tx, org_id: OrgId, audit_id: Uuid) -> Result<(), DbErr> {
    for admin in orgs::find_admins(&**tx, org_id, TOLD).await? {
        let notice = NotifyBreakGlass { user_id: admin.id, organization_id: org_id, audit_id };
        jobs::enqueue(tx, kernel.clock.as_ref(), &notice).await?;
    }
    Ok(())
}

/// What a notice is made of.
#[derive(Debug)]
pub struct BreakGlassMail {
    /// Whom it goes to.
    pub admin: User,
    /// Who did it.
    pub actor: User,
    /// Whose code it is.
    pub organization: Organization,
    /// The circumstances.
    pub event: AuditRow,
    /// Whether the code was used; else it was made.
    pub is_use: bool,
}

/// What to tell of a code; `None` when the recipient does not manage the organization any more.
///
/// # Errors
/// When the database fails.
pub async fn mail(kernel: &Kernel, job: &NotifyBreakGlass) -> Result<Option<BreakGlassMail>, DbErr> {
    let db = kernel.db.reader();
    let role = orgs::find_role(db, job.organization_id, job.user_id).await?;
    if role.is_none_or(|role| role < Role::Admin) {
        return Ok(None);
    }
    let Some(event) = audit::find(db, job.audit_id).await? else { return Ok(None) };
    let Some(actor_id) = event.user_id else { return Ok(None) };
    let found = (
        users::find(db, job.user_id).await?.filter(User::is_active),
        users::find(db, users::UserId(actor_id)).await?,
        orgs::find(db, job.organization_id).await?,
    );
    let (Some(admin), Some(actor), Some(organization)) = found else { return Ok(None) };
    let is_use = event.action == USE;
    Ok(Some(BreakGlassMail { admin, actor, organization, event, is_use }))
}
