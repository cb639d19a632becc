//! E-mail domains of organizations.
//!
//! Reading takes any credential that acts. Changing takes a session; changing what holds for a domain and giving one up, a
//! recent proof of identity too.

use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use shared::{
    client::Client,
    clock::Timestamp,
    domains::{self, Demand, DomainChange, DomainId},
    orgs::{By, OrgId},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Tag, organizations::demand, recovery::NoContent};
use crate::{
    paging,
    problem::problem,
    security::{Caller, Session},
    state::AppState,
};

/// An e-mail domain that an organization claims.
#[derive(Object)]
#[expect(clippy::struct_field_names, reason = "it is named as on the wire")]
pub struct Domain {
    /// Id.
    id: Uuid,
    /// The domain, in ASCII and lower case; it never changes.
    domain: String,
    /// Whether the organization has proven it.
    is_verified: bool,
    /// Since when; absent while it is not verified.
    #[oai(skip_serializing_if_is_none)]
    verified_at: Option<OffsetDateTime>,
    /// The name of the TXT record that proves it.
    challenge_record: String,
    /// What the record has to say.
    challenge_value: String,
    /// When the name servers were asked last and answered; absent until then.
    #[oai(skip_serializing_if_is_none)]
    last_checked_at: Option<OffsetDateTime>,
    /// Whether whoever signs in with a provider and a verified address of the domain becomes a member.
    jit_provisioning: bool,
    /// The provider that all addresses of the domain have to sign in with; absent where none is demanded.
    #[oai(skip_serializing_if_is_none)]
    sso_enforcement: Option<String>,
    /// Whether both hold for sub-domains, too.
    include_subdomains: bool,
    /// When it was claimed.
    created_at: OffsetDateTime,
}

impl From<domains::Domain> for Domain {
    fn from(row: domains::Domain) -> Self {
        Self {
            id: row.id.0,
            is_verified: row.is_verified(),
            verified_at: row.verified_at.map(Timestamp::to_utc),
            challenge_record: row.record_name(),
            challenge_value: row.challenge,
            last_checked_at: row.last_checked_at.map(Timestamp::to_utc),
            jit_provisioning: row.jit_provisioning,
            sso_enforcement: row.sso_enforcement,
            include_subdomains: row.include_subdomains,
            created_at: row.created_at.to_utc(),
            domain: row.domain,
        }
    }
}

/// A page of domains, newest first.
#[derive(Object)]
pub struct DomainPage {
    /// The domains.
    items: Vec<Domain>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// A domain to claim.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct CreateDomainRequest {
    /// The domain, such as `example.com`; other scripts and their ASCII form are the same.
    #[oai(validator(max_length = 320))]
    domain: String,
}

/// What to change; absent members stay as they are. The domain itself never changes.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct UpdateDomainRequest {
    /// Whether whoever signs in with a provider and a verified address of the domain becomes a member.
    jit_provisioning: Option<bool>,
    /// The provider that all addresses of the domain have to sign in with, by its name; null for none.
    #[oai(nullable, validator(max_length = 64))]
    sso_enforcement: MaybeUndefined<String>,
    /// Whether both hold for sub-domains, too.
    include_subdomains: Option<bool>,
}

impl UpdateDomainRequest {
    fn change(self) -> DomainChange {
        let sso_enforcement = match self.sso_enforcement {
            MaybeUndefined::Undefined => Demand::Keep,
            MaybeUndefined::Null => Demand::Clear,
            MaybeUndefined::Value(name) => Demand::Provider(name),
        };
        DomainChange {
            jit_provisioning: self.jit_provisioning,
            sso_enforcement,
            include_subdomains: self.include_subdomains,
        }
    }
}

/// Operations on domains.
pub struct DomainsApi;

#[OpenApi(prefix_path = "/api/organizations", tag = "Tag::Domains")]
impl DomainsApi {
    /// List domains
    ///
    /// The domains that the organization claims, the newest first.
    #[oai(path = "/:organization_id/domains", method = "get", operation_id = "listDomains")]
    async fn list(
        &self,
        state: Data<&AppState>,
        caller: Caller,
        organization_id: Path<Uuid>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many domains a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> poem::Result<Json<DomainPage>> {
        let page = (paging::rows_to_read(limit.0), paging::position(cursor.0.as_deref())?);
        let org_id = OrgId(organization_id.0);
        let rows = domains::list(&state.kernel, &caller.actor, org_id, page).await.map_err(problem)?;
        let (rows, next_cursor) = paging::cut(rows, limit.0, |row| row.id.to_string());
        Ok(Json(DomainPage { items: rows.into_iter().map(Domain::from).collect(), next_cursor }))
    }

    /// Claim a domain
    ///
    /// For admins. Nothing follows from it until the domain is verified. Any number of organizations may claim a domain; one
    /// can have it verified.
    #[oai(path = "/:organization_id/domains", method = "post", operation_id = "createDomain")]
    async fn create(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        organization_id: Path<Uuid>,
        body: Json<CreateDomainRequest>,
    ) -> poem::Result<Json<Domain>> {
        let by = By { actor: &session.0.actor(), client: &client };
        let made = domains::create(&state.kernel, by, OrgId(organization_id.0), &body.domain).await;
        Ok(Json(made.map_err(problem)?.into()))
    }

    /// Get a domain
    ///
    /// The record that proves it, whether it is verified, and what holds for its addresses.
    #[oai(path = "/:organization_id/domains/:domain_id", method = "get", operation_id = "getDomain")]
    async fn get(
        &self,
        state: Data<&AppState>,
        caller: Caller,
        organization_id: Path<Uuid>,
        domain_id: Path<Uuid>,
    ) -> poem::Result<Json<Domain>> {
        let (org_id, id) = (OrgId(organization_id.0), DomainId(domain_id.0));
        Ok(Json(domains::get(&state.kernel, &caller.actor, org_id, id).await.map_err(problem)?.into()))
    }

    /// Update a domain
    ///
    /// For admins, with a recent proof of identity: what holds for the addresses of the domain. Turning something on needs a
    /// verified domain. Unknown members are refused.
    #[oai(path = "/:organization_id/domains/:domain_id", method = "patch", operation_id = "updateDomain")]
    async fn update(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        organization_id: Path<Uuid>,
        domain_id: Path<Uuid>,
        body: Json<UpdateDomainRequest>,
    ) -> poem::Result<Json<Domain>> {
        let (actor, org_id) = (session.0.actor(), OrgId(organization_id.0));
        demand(&state, &session, org_id).await?;
        let by = By { actor: &actor, client: &client };
        let wish = (DomainId(domain_id.0), body.0.change());
        Ok(Json(domains::update(&state.kernel, by, org_id, wish).await.map_err(problem)?.into()))
    }

    /// Delete a domain
    ///
    /// For admins, with a recent proof of identity. What held for its addresses ends.
    #[oai(path = "/:organization_id/domains/:domain_id", method = "delete", operation_id = "deleteDomain")]
    async fn delete(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        organization_id: Path<Uuid>,
        domain_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        let (actor, org_id) = (session.0.actor(), OrgId(organization_id.0));
        demand(&state, &session, org_id).await?;
        let by = By { actor: &actor, client: &client };
        domains::delete(&state.kernel, by, org_id, DomainId(domain_id.0)).await.map_err(problem)?;
        Ok(NoContent::Done)
    }

    /// Verify a domain
    ///
    /// For admins. Asks the name servers for the TXT record `challenge_record`. Where none of its values is `challenge_value`
    /// the answer has `is_verified: false` and the time of this check; name servers that do not answer are
    /// `dns_unavailable`. The first organization that proves a domain has it.
    #[oai(path = "/:organization_id/domains/:domain_id/verify", method = "post", operation_id = "verifyDomain")]
    async fn verify(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        organization_id: Path<Uuid>,
        domain_id: Path<Uuid>,
    ) -> poem::Result<Json<Domain>> {
        let by = By { actor: &session.0.actor(), client: &client };
        let (org_id, id) = (OrgId(organization_id.0), DomainId(domain_id.0));
        Ok(Json(domains::verify(&state.kernel, by, org_id, id).await.map_err(problem)?.into()))
    }
}
