//! Members of organizations.
//!
//! Reading takes any credential that acts. Changing takes a session and, except for leaving, a recent proof of identity.

use poem::web::Data;
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use shared::{
    api_keys::{self, TouchingKey},
    client::Client,
    clock::Timestamp,
    orgs::{self, By, OrgId, Role},
    users::UserId,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Tag, organizations::demand};
use crate::{
    paging,
    problem::problem,
    security::{Caller, Session},
    state::AppState,
};

/// What somebody is in an organization.
#[derive(Clone, Copy, Debug, Enum)]
#[oai(rename_all = "snake_case")]
pub enum RoleName {
    /// Works there.
    Member,
    /// Manages people, projects and policy.
    Admin,
    /// May do everything.
    Owner,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Member => Self::Member,
            RoleName::Admin => Self::Admin,
            RoleName::Owner => Self::Owner,
        }
    }
}

/// A user in an organization.
#[derive(Object)]
pub struct Member {
    /// Who.
    user_id: Uuid,
    /// E-mail address.
    email: String,
    /// First name.
    #[oai(skip_serializing_if_is_none)]
    first_name: Option<String>,
    /// Last name.
    #[oai(skip_serializing_if_is_none)]
    last_name: Option<String>,
    /// `owner`, `admin` or `member`.
    role: String,
    /// Whether the user may sign in.
    is_active: bool,
    /// Member since.
    created_at: OffsetDateTime,
}

impl From<orgs::Member> for Member {
    fn from(member: orgs::Member) -> Self {
        Self {
            user_id: member.user.id.0,
            is_active: member.user.is_active(),
            email: member.user.email,
            first_name: member.user.first_name,
            last_name: member.user.last_name,
            role: member.role.as_str().to_owned(),
            created_at: member.created_at.to_utc(),
        }
    }
}

/// A page of members.
#[derive(Object)]
pub struct MemberPage {
    /// The members.
    items: Vec<Member>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// What to change about a member.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct UpdateMemberRequest {
    /// What they are to be.
    role: RoleName,
}

/// A personal API key of a former member that reached the organization.
#[derive(Object)]
pub struct ReachingApiKey {
    /// Id; not a secret.
    id: Uuid,
    /// What its owner calls it.
    label: String,
    /// Its first and last four characters.
    mask: String,
    /// Last use, to an hour.
    #[oai(skip_serializing_if_is_none)]
    last_used_at: Option<OffsetDateTime>,
    /// Whether that was in the last seven days.
    is_recently_used: bool,
}

impl From<TouchingKey> for ReachingApiKey {
    fn from(key: TouchingKey) -> Self {
        Self {
            id: key.id.0,
            label: key.label,
            mask: key.mask,
            last_used_at: key.used_at.map(Timestamp::to_utc),
            is_recently_used: key.is_recent,
        }
    }
}

/// A member who was removed.
#[derive(Object)]
pub struct RemovedMember {
    /// Who.
    user_id: Uuid,
    /// What they were: `owner`, `admin` or `member`.
    role: String,
    /// Their API keys that reached the organization until now: whatever used them stops working here.
    api_keys: Vec<ReachingApiKey>,
}

/// Operations on members.
pub struct MembersApi;

#[OpenApi(prefix_path = "/api/organizations", tag = "Tag::Organizations")]
impl MembersApi {
    /// List members
    ///
    /// Who belongs to the organization, and as what.
    #[oai(path = "/:organization_id/members", method = "get", operation_id = "listMembers")]
    async fn list_members(
        &self,
        state: Data<&AppState>,
        caller: Caller,
        organization_id: Path<Uuid>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many members a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> poem::Result<Json<MemberPage>> {
        let page = (paging::rows_to_read(limit.0), paging::position(cursor.0.as_deref())?);
        let (db, org_id) = (state.kernel.db.reader(), OrgId(organization_id.0));
        let rows = orgs::list_members(db, &caller.actor, org_id, page).await.map_err(problem)?;
        let (rows, next_cursor) = paging::cut(rows, limit.0, |row| row.user.id.to_string());
        Ok(Json(MemberPage { items: rows.into_iter().map(Member::from).collect(), next_cursor }))
    }

    /// Update a member
    ///
    /// Admins change members and make them admins; owners change everybody. Everybody may step down, but for the last
    /// owner. Needs a recent proof of identity.
    #[oai(path = "/:organization_id/members/:user_id", method = "patch", operation_id = "updateMember")]
    async fn update_member(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        organization_id: Path<Uuid>,
        user_id: Path<Uuid>,
        body: Json<UpdateMemberRequest>,
    ) -> poem::Result<Json<Member>> {
        let (actor, org_id) = (session.0.actor(), OrgId(organization_id.0));
        demand(&state, &session, org_id).await?;
        let by = By { actor: &actor, client: &client };
        let wish = (UserId(user_id.0), body.role.into());
        let member = orgs::update_member(&state.kernel, by, org_id, wish).await.map_err(problem)?;
        Ok(Json(member.into()))
    }

    /// Remove a member
    ///
    /// Admins remove members, owners everybody; with one's own id it is leaving, which everybody may but the last owner.
    /// Access ends at once. Removing somebody else needs a recent proof of identity.
    #[oai(path = "/:organization_id/members/:user_id", method = "delete", operation_id = "removeMember")]
    async fn remove_member(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        organization_id: Path<Uuid>,
        user_id: Path<Uuid>,
    ) -> poem::Result<Json<RemovedMember>> {
        let (actor, org_id, user_id) = (session.0.actor(), OrgId(organization_id.0), UserId(user_id.0));
        if user_id != session.0.user.id {
            demand(&state, &session, org_id).await?;
        }
        let by = By { actor: &actor, client: &client };
        let role = orgs::remove_member(&state.kernel, by, org_id, user_id).await.map_err(problem)?;
        let keys = api_keys::touching(&state.kernel, user_id, org_id).await.map_err(problem)?;
        let api_keys = keys.into_iter().map(ReachingApiKey::from).collect();
        Ok(Json(RemovedMember { user_id: user_id.0, role: role.as_str().to_owned(), api_keys }))
    }
}
