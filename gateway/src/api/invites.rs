//! Invites to organizations.

use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use shared::{
    client::Client,
    invites::{self, InviteId, Wish},
    orgs::{By, OrgId},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Tag,
    members::RoleName,
    organizations::{Organization, demand},
    recovery::NoContent,
};
use crate::{
    paging,
    problem::problem,
    security::{Caller, Session},
    state::AppState,
};

/// An invite that waits to be accepted.
#[derive(Object)]
pub struct Invite {
    /// Id; not a secret.
    id: Uuid,
    /// The address that it was sent to.
    email: String,
    /// What the newcomer will be: `owner`, `admin` or `member`.
    role: String,
    /// Who invites.
    #[oai(skip_serializing_if_is_none)]
    invited_by_id: Option<Uuid>,
    /// Sent.
    created_at: OffsetDateTime,
    /// Good until.
    expires_at: OffsetDateTime,
}

impl From<invites::Invite> for Invite {
    fn from(row: invites::Invite) -> Self {
        Self {
            id: row.id.0,
            email: row.address,
            role: row.role.as_str().to_owned(),
            invited_by_id: row.invited_by.map(|user_id| user_id.0),
            created_at: row.created_at.to_utc(),
            expires_at: row.expires_at.to_utc(),
        }
    }
}

/// A page of invites, newest first.
#[derive(Object)]
pub struct InvitePage {
    /// The invites.
    items: Vec<Invite>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// Whom to invite.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct CreateInviteRequest {
    /// E-mail address.
    #[oai(validator(max_length = 320))]
    email: String,
    /// What they are to be; nobody grants more than they have.
    role: RoleName,
}

/// What an invite is for.
#[derive(Object)]
pub struct InvitePreview {
    /// Name of the organization.
    organization_name: String,
    /// The address that it was sent to, masked.
    masked_email: String,
    /// What the newcomer will be: `owner`, `admin` or `member`.
    role: String,
    /// Good until.
    expires_at: OffsetDateTime,
}

/// Operations on invites.
pub struct InvitesApi;

#[OpenApi(prefix_path = "/api", tag = "Tag::Invites")]
impl InvitesApi {
    /// List invites
    ///
    /// For admins: the invites of the organization that wait to be accepted, the newest first.
    #[oai(path = "/organizations/:organization_id/invites", method = "get", operation_id = "listInvites")]
    async fn list(
        &self,
        state: Data<&AppState>,
        caller: Caller,
        organization_id: Path<Uuid>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many invites a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> poem::Result<Json<InvitePage>> {
        let page = (paging::rows_to_read(limit.0), paging::position(cursor.0.as_deref())?);
        let org_id = OrgId(organization_id.0);
        let rows = invites::list(&state.kernel, &caller.actor, org_id, page).await.map_err(problem)?;
        let (rows, next_cursor) = paging::cut(rows, limit.0, |row| row.id.to_string());
        Ok(Json(InvitePage { items: rows.into_iter().map(Invite::from).collect(), next_cursor }))
    }

    /// Invite somebody
    ///
    /// For admins, with a recent proof of identity. Mails an invite that is good for three days, once, and for this address
    /// only. A further one to the same address replaces it.
    #[oai(path = "/organizations/:organization_id/invites", method = "post", operation_id = "createInvite")]
    async fn create(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        organization_id: Path<Uuid>,
        body: Json<CreateInviteRequest>,
    ) -> poem::Result<Json<Invite>> {
        let (actor, org_id) = (session.0.actor(), OrgId(organization_id.0));
        demand(&state, &session, org_id).await?;
        let by = By { actor: &actor, client: &client };
        let wish = Wish { email: body.0.email, role: body.0.role.into() };
        let invite = invites::create(&state.kernel, by, org_id, wish).await.map_err(problem)?;
        Ok(Json(invite.into()))
    }

    /// Take an invite back
    ///
    /// For admins. The invite opens nothing from then on.
    #[oai(
        path = "/organizations/:organization_id/invites/:invite_id",
        method = "delete",
        operation_id = "deleteInvite"
    )]
    async fn delete(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        organization_id: Path<Uuid>,
        invite_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        let by = By { actor: &session.0.actor(), client: &client };
        let (org_id, id) = (OrgId(organization_id.0), InviteId(invite_id.0));
        invites::revoke(&state.kernel, by, org_id, id).await.map_err(problem)?;
        Ok(NoContent::Done)
    }

    /// Preview an invite
    ///
    /// What the link in the mail is for, without giving the address away. Unknown, used, expired and taken back invites are
    /// the same answer.
    #[oai(path = "/invites/:invite_id", method = "get", operation_id = "previewInvite")]
    async fn preview(&self, state: Data<&AppState>, invite_id: Path<Uuid>) -> poem::Result<Json<InvitePreview>> {
        let preview = invites::preview(&state.kernel, InviteId(invite_id.0)).await.map_err(problem)?;
        Ok(Json(InvitePreview {
            organization_name: preview.organization.name,
            masked_email: preview.masked_email,
            role: preview.invite.role.as_str().to_owned(),
            expires_at: preview.invite.expires_at.to_utc(),
        }))
    }

    /// Accept an invite
    ///
    /// The signed-in user, who must have proven the address that the invite was sent to, becomes a member. Somebody without
    /// an account signs up with the invite instead.
    #[oai(path = "/invites/:invite_id/accept", method = "post", operation_id = "acceptInvite")]
    async fn accept(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        invite_id: Path<Uuid>,
    ) -> poem::Result<Json<Organization>> {
        let (user, id) = (&session.0.user, InviteId(invite_id.0));
        let access = invites::accept(&state.kernel, &client, user, id).await.map_err(problem)?;
        Ok(Json(Organization::of(access)))
    }
}
