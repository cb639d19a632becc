//! Projects.

use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use shared::{
    client::Client,
    clock::Timestamp,
    deletion, identify,
    orgs::{By, OrgId, Permission},
    projects::{self, ProjectId},
    sessions::{self, Sensitivity},
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

/// What an organization measures.
#[derive(Object)]
pub struct Project {
    /// Id.
    id: Uuid,
    /// Whose.
    organization_id: Uuid,
    /// Name; not unique.
    name: String,
    /// What pages and programs send with their events. Public: it proves nothing about who sent it.
    token: String,
    /// When it was created.
    created_at: OffsetDateTime,
}

impl From<projects::Project> for Project {
    fn from(row: projects::Project) -> Self {
        Self {
            id: row.id.0,
            organization_id: row.organization_id.0,
            name: row.name,
            token: row.project_token,
            created_at: row.created_at.to_utc(),
        }
    }
}

/// A page of projects, in the order of their creation.
#[derive(Object)]
pub struct ProjectPage {
    /// The projects.
    items: Vec<Project>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// A further project.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct CreateProjectRequest {
    /// Whose.
    organization_id: Uuid,
    /// Name, 1 to 100 characters.
    name: String,
}

/// What to change about a project.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct UpdateProjectRequest {
    /// Name, 1 to 100 characters.
    name: String,
}

/// Whether a project asks for proofs of identity.
#[derive(Object)]
pub struct IdentifyVerification {
    /// Whether `$identify` and `$create_alias` need a proof.
    is_required: bool,
    /// Since when.
    #[oai(skip_serializing_if_is_none)]
    required_since: Option<OffsetDateTime>,
}

/// What the project's own server proves identities with.
#[derive(Object)]
pub struct IdentifyVerificationSecret {
    /// The key of HMAC-SHA256 over a distinct id, as these characters; the result in hexadecimal digits is the event's
    /// property `$identity_hash`. Whoever knows it can be anybody.
    verification_secret: String,
    /// Since when proofs are asked for.
    required_since: OffsetDateTime,
}

/// Operations on projects.
pub struct ProjectsApi;

#[OpenApi(prefix_path = "/api/projects", tag = "Tag::Projects")]
impl ProjectsApi {
    /// List projects
    ///
    /// The projects of one organization, or of all that the caller is a member of, in the order of their creation.
    #[oai(path = "/", method = "get", operation_id = "listProjects")]
    async fn list(
        &self,
        state: Data<&AppState>,
        caller: Caller,
        /// Only projects of this organization.
        organization_id: Query<Option<Uuid>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many projects a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> poem::Result<Json<ProjectPage>> {
        let page = (paging::rows_to_read(limit.0), paging::position(cursor.0.as_deref())?);
        let (db, org_id) = (state.kernel.db.reader(), organization_id.0.map(OrgId));
        let rows = projects::list(db, &caller.actor, org_id, page).await.map_err(problem)?;
        let (rows, next_cursor) = paging::cut(rows, limit.0, |row| row.id.to_string());
        Ok(Json(ProjectPage { items: rows.into_iter().map(Project::from).collect(), next_cursor }))
    }

    /// Create a project
    ///
    /// For admins of the organization.
    #[oai(path = "/", method = "post", operation_id = "createProject")]
    async fn create(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        caller: Caller,
        body: Json<CreateProjectRequest>,
    ) -> poem::Result<Json<Project>> {
        let by = By { actor: &caller.actor, client: &client };
        let org_id = OrgId(body.organization_id);
        let project = projects::establish(&state.kernel, by, org_id, &body.name).await.map_err(problem)?;
        Ok(Json(project.into()))
    }

    /// Get a project
    ///
    /// Its name, and the token that clients send with their events.
    #[oai(path = "/:project_id", method = "get", operation_id = "getProject")]
    async fn get(&self, state: Data<&AppState>, caller: Caller, project_id: Path<Uuid>) -> poem::Result<Json<Project>> {
        let (db, id) = (state.kernel.db.reader(), ProjectId(project_id.0));
        let (project, _) = projects::require(db, &caller.actor, id, Permission::View).await.map_err(problem)?;
        Ok(Json(project.into()))
    }

    /// Update a project
    ///
    /// For admins of the organization.
    #[oai(path = "/:project_id", method = "patch", operation_id = "updateProject")]
    async fn update(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        caller: Caller,
        project_id: Path<Uuid>,
        body: Json<UpdateProjectRequest>,
    ) -> poem::Result<Json<Project>> {
        let by = By { actor: &caller.actor, client: &client };
        let project =
            projects::rename(&state.kernel, by, ProjectId(project_id.0), &body.name).await.map_err(problem)?;
        Ok(Json(project.into()))
    }

    /// Delete a project
    ///
    /// For admins of the organization, with a recent proof of identity. Its token names nothing from then on; its data are
    /// removed in the background.
    #[oai(path = "/:project_id", method = "delete", operation_id = "deleteProject")]
    async fn delete(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        project_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        let (actor, id) = (session.0.actor(), ProjectId(project_id.0));
        let found = projects::require(state.kernel.db.reader(), &actor, id, Permission::View).await;
        let (project, _) = found.map_err(problem)?;
        demand(&state, &session, project.organization_id).await?;
        let by = By { actor: &actor, client: &client };
        deletion::delete_project(&state.kernel, by, id).await.map_err(problem)?;
        Ok(NoContent::Done)
    }

    /// Replace the token of a project
    ///
    /// For admins of the organization. Events that carry the token before are refused from then on.
    #[oai(path = "/:project_id/roll_token", method = "post", operation_id = "rollProjectToken")]
    async fn roll_token(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        caller: Caller,
        project_id: Path<Uuid>,
    ) -> poem::Result<Json<Project>> {
        let by = By { actor: &caller.actor, client: &client };
        let project =
            projects::roll_project_token(&state.kernel, by, ProjectId(project_id.0)).await.map_err(problem)?;
        Ok(Json(project.into()))
    }

    /// Get whether a project asks for proofs of identity
    ///
    /// Without the secret that they are made with.
    #[oai(path = "/:project_id/identify_verification", method = "get", operation_id = "getIdentifyVerification")]
    async fn get_verification(
        &self,
        state: Data<&AppState>,
        caller: Caller,
        project_id: Path<Uuid>,
    ) -> poem::Result<Json<IdentifyVerification>> {
        let found = identify::verification_required_since(&state.kernel, &caller.actor, ProjectId(project_id.0)).await;
        let since = found.map_err(problem)?;
        Ok(Json(IdentifyVerification { is_required: since.is_some(), required_since: since.map(Timestamp::to_utc) }))
    }

    /// Ask for proofs of identity
    ///
    /// From now on `$identify` and `$create_alias` merge and change properties only with the right `$identity_hash`, or with
    /// a secret key of the project. Answers the secret that the proofs are made with, asked again the same one. For admins
    /// of the organization; needs a recent proof of identity.
    #[oai(path = "/:project_id/identify_verification", method = "put", operation_id = "enableIdentifyVerification")]
    async fn require_verification(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        project_id: Path<Uuid>,
    ) -> poem::Result<Json<IdentifyVerificationSecret>> {
        sessions::require_recent(&state.kernel, &session.0, Sensitivity::Sensitive).map_err(problem)?;
        let by = By { actor: &session.0.actor(), client: &client };
        let required = identify::require_verification(&state.kernel, by, ProjectId(project_id.0)).await;
        let (secret, since) = required.map_err(problem)?;
        let verification_secret = secret.expose().clone();
        Ok(Json(IdentifyVerificationSecret { verification_secret, required_since: since.to_utc() }))
    }

    /// Ask for no proofs of identity
    ///
    /// The secret is worth nothing from then on: asked for proofs again, the project gets another one. For admins of the
    /// organization; needs a recent proof of identity.
    #[oai(path = "/:project_id/identify_verification", method = "delete", operation_id = "disableIdentifyVerification")]
    async fn waive_verification(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        project_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        sessions::require_recent(&state.kernel, &session.0, Sensitivity::Sensitive).map_err(problem)?;
        let by = By { actor: &session.0.actor(), client: &client };
        identify::waive_verification(&state.kernel, by, ProjectId(project_id.0)).await.map_err(problem)?;
        Ok(NoContent::Done)
    }
}
