//! Organizations and their policy.
//!
//! Reading takes any credential that acts. Changing takes a session; changing the policy and deleting, a recent proof of
//! identity too.

use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use shared::{
    client::Client,
    deletion,
    orgs::{self, Access, By, OrgChange, OrgId, Permission, PolicyChange, Span},
    sessions::{self, Sensitivity},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Tag, recovery::NoContent};
use crate::{
    paging,
    problem::problem,
    security::{Caller, Session},
    state::AppState,
};

/// An organization that the caller is a member of, with the policy that its members live under.
#[derive(Object)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
pub struct Organization {
    /// Id.
    id: Uuid,
    /// Name.
    name: String,
    /// What the caller is there: `owner`, `admin` or `member`.
    role: String,
    /// Whether members need a second factor.
    enforce_2fa: bool,
    /// Whether a mailed code counts as that second factor.
    allow_email_mfa: bool,
    /// Whether the second factor of an identity provider counts as well.
    trust_idp_mfa: bool,
    /// How old a member's session may become; absent where the installation's age holds.
    #[oai(skip_serializing_if_is_none)]
    session_age_seconds: Option<i64>,
    /// How long a member's browser stays trusted, 0 for never; absent where the installation's span holds.
    #[oai(skip_serializing_if_is_none)]
    trusted_device_seconds: Option<i64>,
    /// Whether members that are no admins may use personal API keys here.
    members_can_use_personal_api_keys: bool,
    /// Whether personal API keys may stand in the query of a request, which is deprecated; no, unless it was turned on.
    query_api_keys: bool,
    /// When it was created.
    created_at: OffsetDateTime,
}

impl Organization {
    /// The wire form of an organization.
    #[must_use]
    pub fn of(access: Access) -> Self {
        let (row, role) = (access.organization, access.role);
        Self {
            id: row.id.0,
            name: row.name,
            role: role.as_str().to_owned(),
            enforce_2fa: row.enforces_two_factor,
            allow_email_mfa: row.allows_email_mfa,
            trust_idp_mfa: row.trusts_idp_mfa,
            session_age_seconds: row.session_age_seconds,
            trusted_device_seconds: row.trusted_device_seconds,
            members_can_use_personal_api_keys: row.allows_member_api_keys,
            query_api_keys: row.allows_query_api_keys,
            created_at: row.created_at.to_utc(),
        }
    }
}

/// A page of organizations, in the order of their creation.
#[derive(Object)]
pub struct OrganizationPage {
    /// The organizations.
    items: Vec<Organization>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// A further organization.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct CreateOrganizationRequest {
    /// Name, 1 to 100 characters.
    name: String,
}

/// What to change; absent members stay as they are.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct UpdateOrganizationRequest {
    /// Name, 1 to 100 characters.
    name: Option<String>,
    /// Whether members need a second factor.
    enforce_2fa: Option<bool>,
    /// Whether a mailed code counts as that second factor.
    allow_email_mfa: Option<bool>,
    /// Whether the second factor of an identity provider counts as well.
    trust_idp_mfa: Option<bool>,
    /// How old a member's session may become, 300 to 31536000; null for the installation's age.
    #[oai(nullable)]
    session_age_seconds: MaybeUndefined<i64>,
    /// How long a member's browser stays trusted, 0 to 31536000; null for the installation's span.
    #[oai(nullable)]
    trusted_device_seconds: MaybeUndefined<i64>,
    /// Whether members that are no admins may use personal API keys here.
    members_can_use_personal_api_keys: Option<bool>,
    /// Whether personal API keys may stand in the query of a request.
    query_api_keys: Option<bool>,
}

impl UpdateOrganizationRequest {
    fn change(self) -> OrgChange {
        let span = |value| match value {
            MaybeUndefined::Undefined => Span::Keep,
            MaybeUndefined::Null => Span::Clear,
            MaybeUndefined::Value(seconds) => Span::Seconds(seconds),
        };
        let policy = PolicyChange {
            enforces_two_factor: self.enforce_2fa,
            allows_email_mfa: self.allow_email_mfa,
            trusts_idp_mfa: self.trust_idp_mfa,
            session_age: span(self.session_age_seconds),
            trusted_device: span(self.trusted_device_seconds),
            allows_member_api_keys: self.members_can_use_personal_api_keys,
            allows_query_api_keys: self.query_api_keys,
        };
        OrgChange { name: self.name, policy }
    }
}

/// Operations on organizations.
pub struct OrganizationsApi;

#[OpenApi(prefix_path = "/api/organizations", tag = "Tag::Organizations")]
impl OrganizationsApi {
    /// List organizations
    ///
    /// The organizations that the caller is a member of, in the order of their creation.
    #[oai(path = "/", method = "get", operation_id = "listOrganizations")]
    async fn list(
        &self,
        state: Data<&AppState>,
        caller: Caller,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many organizations a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> poem::Result<Json<OrganizationPage>> {
        let page = (paging::rows_to_read(limit.0), paging::position(cursor.0.as_deref())?);
        let rows = orgs::list(state.kernel.db.reader(), &caller.actor, page).await.map_err(problem)?;
        let (rows, next_cursor) = paging::cut(rows, limit.0, |row| row.organization.id.to_string());
        Ok(Json(OrganizationPage { items: rows.into_iter().map(Organization::of).collect(), next_cursor }))
    }

    /// Create an organization
    ///
    /// The signed-in user becomes its owner.
    #[oai(path = "/", method = "post", operation_id = "createOrganization")]
    async fn create(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        body: Json<CreateOrganizationRequest>,
    ) -> poem::Result<Json<Organization>> {
        let by = By { actor: &session.0.actor(), client: &client };
        let access = orgs::establish(&state.kernel, by, &body.name).await.map_err(problem)?;
        Ok(Json(Organization::of(access)))
    }

    /// Get an organization
    ///
    /// Its name, its policy, and what the caller is there.
    #[oai(path = "/:organization_id", method = "get", operation_id = "getOrganization")]
    async fn get(
        &self,
        state: Data<&AppState>,
        caller: Caller,
        organization_id: Path<Uuid>,
    ) -> poem::Result<Json<Organization>> {
        let (db, org_id) = (state.kernel.db.reader(), OrgId(organization_id.0));
        let access = orgs::require(db, &caller.actor, org_id, Permission::View).await.map_err(problem)?;
        Ok(Json(Organization::of(access)))
    }

    /// Update an organization
    ///
    /// For admins. A change of the policy needs a recent proof of identity; unknown members are refused.
    #[oai(path = "/:organization_id", method = "patch", operation_id = "updateOrganization")]
    async fn update(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        organization_id: Path<Uuid>,
        body: Json<UpdateOrganizationRequest>,
    ) -> poem::Result<Json<Organization>> {
        let (actor, org_id) = (session.0.actor(), OrgId(organization_id.0));
        let change = body.0.change();
        if !change.policy.is_empty() {
            demand(&state, &session, org_id).await?;
        }
        let by = By { actor: &actor, client: &client };
        let access = orgs::update(&state.kernel, by, org_id, change).await.map_err(problem)?;
        Ok(Json(Organization::of(access)))
    }

    /// Delete an organization
    ///
    /// For owners, with a recent proof of identity. Nobody reaches it or anything of it from then on; its projects and
    /// their data are removed in the background, and its audit trail stays with the installation.
    #[oai(path = "/:organization_id", method = "delete", operation_id = "deleteOrganization")]
    async fn delete(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        organization_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        let (actor, org_id) = (session.0.actor(), OrgId(organization_id.0));
        demand(&state, &session, org_id).await?;
        let by = By { actor: &actor, client: &client };
        deletion::delete_organization(&state.kernel, by, org_id).await.map_err(problem)?;
        Ok(NoContent::Done)
    }
}

/// Demands a recent proof of identity of a member; whoever is none learns nothing but that there is nothing.
///
/// # Errors
/// When the user is no member, or proved who they are too long ago.
pub(super) async fn demand(state: &AppState, session: &Session, org_id: OrgId) -> poem::Result<()> {
    let (kernel, actor) = (&state.kernel, session.0.actor());
    orgs::require(kernel.db.reader(), &actor, org_id, Permission::View).await.map_err(problem)?;
    sessions::require_recent(kernel, &session.0, Sensitivity::Sensitive).map_err(problem)
}
