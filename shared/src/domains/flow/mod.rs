//! Use cases: claiming domains, saying what holds for them, and what that means for an address; proving them is in `proof`.

mod proof;

pub use proof::{Findings, LostMail, look, lost_mail, settle, verify};
use sea_orm::{ConnectionTrait, DbErr};
use serde_json::json;

use super::{Domain, DomainError, DomainId, SsoEnforced, store};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    db::{self, Tx},
    fault::FieldError,
    kernel::Kernel,
    orgs::{self, Actor, By, OrgError, OrgId, Permission, Role},
    secret,
    users::{Email, User},
};

/// Longest domain, so that the name of its record is not too long for the DNS.
const MAX_LENGTH: usize = 233;

/// What becomes of the demand for a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// It stays as it is.
    #[default]
    Keep,
    /// None is demanded.
    Clear,
    /// This one is demanded.
    Provider(String),
}

/// What to change; the domain itself never does.
#[derive(Clone, Debug, Default)]
pub struct DomainChange {
    /// Whether whoever signs in with a provider becomes a member.
    pub jit_provisioning: Option<bool>,
    /// The provider that is demanded.
    pub sso_enforcement: Demand,
    /// Whether all of this holds for sub-domains, too.
    pub include_subdomains: Option<bool>,
}

/// The domains of an organization, the newest first.
///
/// # Errors
/// When the actor is no member, or the database fails.
pub async fn list(
    kernel: &Kernel,
    actor: &Actor,
    org_id: OrgId,
    page: (u64, Option<DomainId>),
) -> Result<Vec<Domain>, DomainError> {
    let db = kernel.db.reader();
    orgs::require(db, actor, org_id, Permission::View).await?;
    Ok(store::list(db, org_id, page).await?)
}

/// A domain of an organization.
///
/// # Errors
/// When the actor is no member, the organization has no such domain, or the database fails.
pub async fn get(kernel: &Kernel, actor: &Actor, org_id: OrgId, id: DomainId) -> Result<Domain, DomainError> {
    let db = kernel.db.reader();
    orgs::require(db, actor, org_id, Permission::View).await?;
    store::find(db, org_id, id).await?.ok_or(DomainError::NotFound)
}

/// Claims a domain. Nothing follows from it until it is proven, so that any organization may.
///
/// # Errors
/// When the role does not allow it, this is no domain, the organization has it already or has too many, or the database
/// fails.
pub async fn create(kernel: &Kernel, by: By<'_>, org_id: OrgId, text: &str) -> Result<Domain, DomainError> {
    const ACTION: &str = "domains.create";
    let (tx, _) = orgs::enter(kernel, by, org_id, (Permission::ManageDomains, ACTION)).await?;
    let domain = parse(text)?;
    let (count, limit) = (store::count(&*tx, org_id).await?, kernel.config.domains.max_per_organization);
    if count >= limit {
        let detail = format!("The organization has {count} domains, {limit} are allowed.");
        return Err(OrgError::LimitReached(detail).into());
    }
    let now = kernel.clock.now();
    let row = Domain {
        id: DomainId::next(),
        organization_id: org_id,
        domain,
        challenge: secret::encode(&secret::random_bytes::<32>()),
        verified_at: None,
        last_checked_at: None,
        failed_checks: 0,
        lost_at: None,
        jit_provisioning: false,
        sso_enforcement: None,
        include_subdomains: false,
        revision: 0,
        created_at: now,
        updated_at: now,
    };
    match store::insert(&*tx, row.clone()).await {
        Err(err) if db::is_unique_violation(&err) => return Err(DomainError::Exists),
        outcome => outcome?,
    }
    let detail = json!({ "domain_id": row.id, "domain": row.domain });
    orgs::record(kernel, &tx, by, org_id, (ACTION, Outcome::Success, detail)).await?;
    tx.commit().await?;
    Ok(row)
}

/// Changes what holds for the addresses of a domain. Turning something on needs a proof that stands; turning it off does
/// not.
///
/// # Errors
/// When the role does not allow it, the organization has no such domain or has not proven it, there is no such provider, or
/// the database fails.
pub async fn update(
    kernel: &Kernel,
    by: By<'_>,
    org_id: OrgId,
    (id, change): (DomainId, DomainChange),
) -> Result<Domain, DomainError> {
    const ACTION: &str = "domains.update";
    let (tx, _) = orgs::enter(kernel, by, org_id, (Permission::ManageDomains, ACTION)).await?;
    let seen = store::find(&*tx, org_id, id).await?.ok_or(DomainError::NotFound)?;
    if let Demand::Provider(name) = &change.sso_enforcement
        && !kernel.config.social.offered().iter().any(|provider| provider.name == *name)
    {
        let detail = "This installation has no such provider.".to_owned();
        let error = FieldError { pointer: "/sso_enforcement", code: "unknown_provider", detail };
        return Err(DomainError::Invalid(vec![error]));
    }
    let wanted = changed(&seen, change);
    if !seen.is_verified() && turns_on(&seen, &wanted) {
        return Err(DomainError::VerificationRequired);
    }
    if !store::set_settings(&*tx, (&seen, &wanted), kernel.clock.now()).await? {
        return Err(DomainError::Changed);
    }
    let detail = json!({
        "domain_id": id,
        "domain": seen.domain,
        "jit_provisioning": wanted.jit_provisioning,
        "sso_enforcement": wanted.sso_enforcement,
        "include_subdomains": wanted.include_subdomains,
    });
    orgs::record(kernel, &tx, by, org_id, (ACTION, Outcome::Success, detail)).await?;
    let row = store::find(&*tx, org_id, id).await?.ok_or(DomainError::NotFound)?;
    tx.commit().await?;
    Ok(row)
}

fn changed(seen: &Domain, change: DomainChange) -> Domain {
    let mut wanted = seen.clone();
    wanted.jit_provisioning = change.jit_provisioning.unwrap_or(seen.jit_provisioning);
    wanted.include_subdomains = change.include_subdomains.unwrap_or(seen.include_subdomains);
    match change.sso_enforcement {
        Demand::Keep => {}
        Demand::Clear => wanted.sso_enforcement = None,
        Demand::Provider(name) => wanted.sso_enforcement = Some(name),
    }
    wanted
}

/// Whether a change turns something on.
fn turns_on(seen: &Domain, wanted: &Domain) -> bool {
    (wanted.jit_provisioning && !seen.jit_provisioning)
        || (wanted.include_subdomains && !seen.include_subdomains)
        || (wanted.sso_enforcement.is_some() && wanted.sso_enforcement != seen.sso_enforcement)
}

/// Gives a domain up: nothing of it holds from then on.
///
/// # Errors
/// When the role does not allow it, the organization has no such domain, or the database fails.
pub async fn delete(kernel: &Kernel, by: By<'_>, org_id: OrgId, id: DomainId) -> Result<(), DomainError> {
    const ACTION: &str = "domains.delete";
    let (tx, _) = orgs::enter(kernel, by, org_id, (Permission::ManageDomains, ACTION)).await?;
    let seen = store::find(&*tx, org_id, id).await?.ok_or(DomainError::NotFound)?;
    store::delete(&*tx, org_id, id).await?;
    let detail = json!({ "domain_id": id, "domain": seen.domain, "was_verified": seen.is_verified() });
    orgs::record(kernel, &tx, by, org_id, (ACTION, Outcome::Success, detail)).await?;
    tx.commit().await?;
    Ok(())
}

/// A domain as it is stored: in ASCII and lower case, as that of an address.
fn parse(text: &str) -> Result<String, DomainError> {
    let invalid = || {
        let detail = "This is not a domain of e-mail addresses, such as example.com.".to_owned();
        DomainError::Invalid(vec![FieldError { pointer: "/domain", code: "invalid_domain", detail }])
    };
    let email = Email::parse(&format!("a@{}", text.trim())).map_err(|_| invalid())?;
    let domain = email.domain();
    if domain.contains('.') && domain.len() <= MAX_LENGTH { Ok(domain.to_owned()) } else { Err(invalid()) }
}

/// A domain and those above it, the longest first, without the top-level one.
fn with_parents(domain: &str) -> Vec<&str> {
    let above = std::iter::successors(Some(domain), |name| name.split_once('.').map(|(_, rest)| rest));
    above.filter(|name| name.contains('.')).collect()
}

/// Of the rows that say something about a domain, the one that is closest to it and satisfies the condition. Among those of
/// one domain a proven one goes first.
fn closest<'a>(rows: &'a [Domain], domain: &str, is_meant: impl Fn(&Domain) -> bool) -> Option<&'a Domain> {
    let meant = rows.iter().filter(|row| row.covers(domain) && is_meant(row));
    meant.max_by_key(|row| (row.domain.len(), row.is_verified()))
}

/// A demand for a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsoDemand {
    /// The provider.
    pub provider: String,
    /// Whose demand it is; that of the configuration where absent.
    pub organization_id: Option<OrgId>,
}

/// The provider that the domain of an address demands: by the configuration, or else by the organization that proved it or
/// a domain above. Decided on the domain alone. Here everything that asks for it comes together.
///
/// # Errors
/// When the database fails; the caller must refuse.
pub async fn find_demand<C: ConnectionTrait>(
    kernel: &Kernel,
    db: &C,
    email: &Email,
) -> Result<Option<SsoDemand>, DbErr> {
    let domain = email.domain();
    if let Some(rule) = kernel.config.domains.sso_enforced.iter().find(|rule| rule.domain == domain) {
        return Ok(Some(SsoDemand { provider: rule.provider.clone(), organization_id: None }));
    }
    let rows = store::governing(db, &with_parents(domain)).await?;
    // A domain below that demands nothing does not lift what a domain above demands for it.
    let row = closest(&rows, domain, |row| row.sso_enforcement.is_some());
    Ok(row.and_then(|row| {
        let provider = row.sso_enforcement.clone()?;
        Some(SsoDemand { provider, organization_id: Some(row.organization_id) })
    }))
}

/// Refuses addresses whose domain demands a provider.
///
/// # Errors
/// The outer error when the database fails. The inner one when the domain of `email` demands a provider; it names it.
pub async fn ensure_password_allowed<C: ConnectionTrait>(
    kernel: &Kernel,
    db: &C,
    email: &Email,
) -> Result<Result<(), SsoEnforced>, DbErr> {
    let demand = find_demand(kernel, db, email).await?;
    Ok(demand.map_or(Ok(()), |demand| Err(SsoEnforced { provider: demand.provider })))
}

/// Refuses a provider for addresses whose domain demands another one.
///
/// # Errors
/// The outer error when the database fails. The inner one when the domain of `email` demands another one; it names it.
pub async fn ensure_provider_allowed<C: ConnectionTrait>(
    kernel: &Kernel,
    db: &C,
    (email, provider): (&Email, &str),
) -> Result<Result<(), SsoEnforced>, DbErr> {
    let refused = ensure_password_allowed(kernel, db, email).await?;
    Ok(refused.or_else(|enforced| if enforced.provider == provider { Ok(()) } else { Err(enforced) }))
}

/// Refuses a change of an address from or to a domain that demands a provider, unless one organization demands it of both.
///
/// # Errors
/// The outer error when the database fails. The inner one when it is refused; it names the provider.
pub async fn ensure_change_allowed<C: ConnectionTrait>(
    kernel: &Kernel,
    db: &C,
    (from, to): (Option<&Email>, &Email),
) -> Result<Result<(), SsoEnforced>, DbErr> {
    let before = match from {
        Some(from) if from.normalised() == to.normalised() => return Ok(Ok(())),
        Some(from) => find_demand(kernel, db, from).await?,
        None => None,
    };
    let after = find_demand(kernel, db, to).await?;
    let is_inside = match (&before, &after) {
        (Some(before), Some(after)) => {
            before.organization_id.is_some() && before.organization_id == after.organization_id
        }
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let refusal = after.or(before).filter(|_| !is_inside);
    Ok(refusal.map_or(Ok(()), |rule| Err(SsoEnforced { provider: rule.provider })))
}

/// Whether a sign-in with a provider may make an account for somebody unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newcomer {
    /// The organization that proved the domain lets them join, so they may in any case.
    Joins,
    /// The domain is an organization's that demands a provider and lets nobody join by it.
    IsNotLetIn,
    /// No organization says anything about it.
    IsNobodys,
}

/// What the domain of an address means for somebody who has no account.
///
/// # Errors
/// When the database fails.
pub async fn judge_newcomer<C: ConnectionTrait>(db: &C, email: &Email) -> Result<Newcomer, DbErr> {
    let domain = email.domain();
    let rows = store::governing(db, &with_parents(domain)).await?;
    Ok(match closest(&rows, domain, Domain::is_verified) {
        Some(row) if row.jit_provisioning => Newcomer::Joins,
        Some(row) if row.sso_enforcement.is_some() => Newcomer::IsNotLetIn,
        Some(_) | None => Newcomer::IsNobodys,
    })
}

/// What was proven of the domain of an address, or else of the closest one above that is for those below, too.
async fn proven_by(tx: &Tx, email: &Email) -> Result<Option<Domain>, DbErr> {
    let rows = store::governing(&**tx, &with_parents(email.domain())).await?;
    Ok(closest(&rows, email.domain(), Domain::is_verified).cloned())
}

/// Makes a user who signs in with a provider a member of the organization that proved the domain of their address, if it
/// wants that; in the caller's transaction. `vouched` is the address that the provider verified: the account's own has to
/// be of the same domain, so that what the organization demands of its addresses holds for whoever joins.
///
/// # Errors
/// When the database fails.
pub async fn admit(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    (user, vouched): (&User, &Email),
) -> Result<Option<OrgId>, DbErr> {
    let Some(own) = user.address().filter(|_| user.is_verified() && user.is_active()) else { return Ok(None) };
    let Some(org_id) = proven_by(tx, vouched).await?.map(|row| row.organization_id) else { return Ok(None) };
    // What the organization wants is what it wants once nobody can change it any more.
    orgs::lock(&**tx, org_id).await?;
    let row = proven_by(tx, vouched).await?.filter(|row| row.organization_id == org_id);
    let Some(row) = row else { return Ok(None) };
    let is_wanted = row.jit_provisioning && row.covers(own.domain());
    if !is_wanted || orgs::find_role(&**tx, org_id, user.id).await?.is_some() {
        return Ok(None);
    }
    if orgs::join(tx, org_id, (user.id, Role::Member), kernel.clock.now()).await? != Some(true) {
        return Ok(None);
    }
    let event = AuditEvent {
        action: "domains.join",
        outcome: Outcome::Success,
        user_id: Some(user.id.0),
        client: Some(client),
        detail: json!({ "domain_id": row.id, "domain": row.domain, "role": Role::Member.as_str() }),
    };
    audit::record_in(&**tx, kernel.clock.as_ref(), org_id.0, event).await?;
    Ok(Some(org_id))
}
