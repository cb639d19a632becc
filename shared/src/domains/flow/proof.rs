//! Use cases: proving a domain, and looking whether its proof still stands.
//!
//! ```text
//! verify ── row as it is ─► name server, outside of any transaction ─► written if the row is still what it was
//! look   ── a batch of proven rows ─► name server ─► findings ─► settle, in the job's transaction, row by row likewise
//! ```

use futures_util::{StreamExt, stream};
use sea_orm::DbErr;
use serde_json::json;

use crate::{
    audit::{self, AuditEvent, AuditRow, Outcome},
    db::{self, Tx},
    domains::{Domain, DomainError, DomainId, NotifyProofLost, SweepProofs, resolver, store},
    jobs,
    kernel::Kernel,
    orgs::{self, By, OrgId, Organization, Permission},
    rate_limit::{self, Verdict},
    secret,
    users::{self, User},
};

/// Domains that one job looks at.
const BATCH: u64 = 64;

/// Lookups at once. A batch of name servers that do not answer takes `BATCH / AT_ONCE` times as long as one.
const AT_ONCE: usize = 16;

/// Those who manage an organization and are told, at most.
const TOLD: u64 = 100;

/// Asks the name servers of a domain for its proof. Returns the domain as it is then, proven or not.
///
/// # Errors
/// When the role does not allow it, the organization has no such domain, or has proven it, or another one has, it changed
/// meanwhile, its name servers do not answer, too many lookups were asked for, or the database fails.
pub async fn verify(kernel: &Kernel, by: By<'_>, org_id: OrgId, id: DomainId) -> Result<Domain, DomainError> {
    const ACTION: &str = "domains.verify";
    let gate = (Permission::ManageDomains, ACTION);
    let (tx, _) = orgs::enter(kernel, by, org_id, gate).await?;
    let seen = store::find(&*tx, org_id, id).await?.ok_or(DomainError::NotFound)?;
    if seen.is_verified() {
        return Err(DomainError::AlreadyVerified);
    }
    reserve(kernel, &tx, org_id).await?;
    tx.commit().await?;
    let found = resolver::challenges(&kernel.config.domains, &seen.domain).await;
    let is_proven = proves(&found.map_err(|none| DomainError::Unanswered(none.0))?, &seen.challenge);

    let (tx, _) = orgs::enter(kernel, by, org_id, gate).await?;
    let now = kernel.clock.now();
    let is_written =
        if is_proven { store::verify(&*tx, &seen, now).await } else { store::record_check(&*tx, &seen, 0, now).await };
    match is_written {
        Ok(true) => {}
        Ok(false) => return Err(DomainError::Changed),
        Err(err) if db::is_unique_violation(&err) => return Err(DomainError::Taken),
        Err(err) => return Err(err.into()),
    }
    let outcome = if is_proven {
        store::release_others(&*tx, &seen, now).await?;
        Outcome::Success
    } else {
        Outcome::Failure
    };
    let detail = json!({ "domain_id": id, "domain": seen.domain, "is_verified": is_proven });
    orgs::record(kernel, &tx, by, org_id, (ACTION, outcome, detail)).await?;
    let row = store::find(&*tx, org_id, id).await?.ok_or(DomainError::NotFound)?;
    tx.commit().await?;
    Ok(row)
}

/// Counts a lookup of an organization.
async fn reserve(kernel: &Kernel, tx: &Tx, org_id: OrgId) -> Result<(), DomainError> {
    let (limit, whose) = (kernel.config.domains.lookups_per_organization, org_id.to_string());
    let scope = ("domains.organization", whose.as_str());
    match rate_limit::check(&**tx, &kernel.keys, kernel.clock.now(), limit, scope).await? {
        Verdict::Allowed => Ok(()),
        Verdict::Denied(wait) => Err(DomainError::Throttled(wait)),
    }
}

/// Whether one of the records is the challenge. Blanks around it are those of forms at providers of DNS.
fn proves(records: &[String], challenge: &str) -> bool {
    records.iter().any(|record| secret::equal(record.trim().as_bytes(), challenge.as_bytes()))
}

/// What the name servers said about a batch of proven domains.
#[derive(Debug)]
pub struct Findings {
    /// Each domain as it was, and whether its proof stands; none of those whose name servers did not answer.
    checked: Vec<(Domain, bool)>,
    /// The last domain of a batch after which there may be more.
    last: Option<DomainId>,
}

/// Looks at the proven domains that were not checked for a while, a batch of them. Takes no transaction.
///
/// # Errors
/// When the database fails.
pub async fn look(kernel: &Kernel, after: DomainId) -> Result<Findings, DbErr> {
    let config = &kernel.config.domains;
    let before = kernel.clock.now() - config.recheck();
    let due = store::list_due(kernel.db.reader(), before, (BATCH, after)).await?;
    let is_full = u64::try_from(due.len()).is_ok_and(|count| count == BATCH);
    let last = due.last().map(|row| row.id).filter(|_| is_full);
    let lookups = due.into_iter().map(|row| async move {
        let found = resolver::challenges(config, &row.domain).await;
        if let Err(error) = &found {
            tracing::info!(domain_id = %row.id, %error, "the name servers of a domain did not answer; its proof stands");
        }
        let is_proven = proves(&found.ok()?, &row.challenge);
        Some((row, is_proven))
    });
    let checked = stream::iter(lookups).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    Ok(Findings { checked, last })
}

/// Writes what [`look`] found, in the job's transaction, and enqueues the next batch.
///
/// # Errors
/// When the database fails.
pub async fn settle(kernel: &Kernel, tx: &Tx, window: i64, findings: Findings) -> Result<(), DbErr> {
    for (row, is_proven) in &findings.checked {
        settle_one(kernel, tx, row, *is_proven).await?;
    }
    if let Some(after_id) = findings.last {
        jobs::enqueue(tx, kernel.clock.as_ref(), &SweepProofs { window, after_id }).await?;
    }
    Ok(())
}

/// A row that changed meanwhile is left to the next time.
async fn settle_one(kernel: &Kernel, tx: &Tx, seen: &Domain, is_proven: bool) -> Result<(), DbErr> {
    let now = kernel.clock.now();
    let failed_checks = if is_proven { 0 } else { seen.failed_checks + 1 };
    if failed_checks < kernel.config.domains.checks_until_lost.max(1) {
        store::record_check(&**tx, seen, failed_checks, now).await?;
        return Ok(());
    }
    if !store::lose(&**tx, seen, now).await? {
        return Ok(());
    }
    let event = AuditEvent {
        action: "domains.lose_proof",
        outcome: Outcome::Success,
        user_id: None,
        client: None,
        detail: json!({ "domain_id": seen.id, "domain": seen.domain, "failed_checks": failed_checks }),
    };
    let org_id = seen.organization_id;
    let audit_id = audit::record_in(&**tx, kernel.clock.as_ref(), org_id.0, event).await?;
    for admin in orgs::find_admins(&**tx, org_id, TOLD).await? {
        let notice = NotifyProofLost { user_id: admin.id, organization_id: org_id, domain_id: seen.id, audit_id };
        jobs::enqueue(tx, kernel.clock.as_ref(), &notice).await?;
    }
    Ok(())
}

/// What the notice of a lost proof is made of.
#[derive(Debug)]
pub struct LostMail {
    /// Whom it goes to.
    pub admin: User,
    /// The domain, as it is now.
    pub domain: Domain,
    /// Whose it is.
    pub organization: Organization,
    /// The circumstances.
    pub event: AuditRow,
}

/// What to tell of a lost proof; `None` when the domain was given up or proven again, or the recipient does not manage the
/// organization any more.
///
/// # Errors
/// When the database fails.
pub async fn lost_mail(kernel: &Kernel, job: &NotifyProofLost) -> Result<Option<LostMail>, DbErr> {
    let db = kernel.db.reader();
    let role = orgs::find_role(db, job.organization_id, job.user_id).await?;
    if !role.is_some_and(|role| role.may(Permission::ManageDomains)) {
        return Ok(None);
    }
    let found = (
        users::find(db, job.user_id).await?.filter(User::is_active),
        store::find(db, job.organization_id, job.domain_id).await?.filter(|domain| !domain.is_verified()),
        orgs::find(db, job.organization_id).await?,
        audit::find(db, job.audit_id).await?,
    );
    let (Some(admin), Some(domain), Some(organization), Some(event)) = found else { return Ok(None) };
    Ok(Some(LostMail { admin, domain, organization, event }))
}
