//! Secret keys of projects.

use poem::web::Data;
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use shared::{
    client::Client,
    clock::Timestamp,
    projects::ProjectId,
    secret_keys::{self, SecretKeyId},
    sessions::{self, Sensitivity},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Tag, recovery::NoContent};
use crate::{paging, problem::problem, security::Session, state::AppState};

/// A secret key of a project.
#[derive(Object)]
pub struct ProjectSecretKey {
    /// Id; not a secret.
    id: Uuid,
    /// What people call it.
    label: String,
    /// Its first and last four characters.
    mask: String,
    /// What it may be used for.
    scopes: Vec<String>,
    /// Who made it; absent once they are gone.
    #[oai(skip_serializing_if_is_none)]
    created_by: Option<Uuid>,
    /// `active`; `exposed` when it was reported as leaked, and is refused until it is rolled. More values may follow.
    status: String,
    /// Created.
    created_at: OffsetDateTime,
    /// Last use, to the hour.
    #[oai(skip_serializing_if_is_none)]
    last_used_at: Option<OffsetDateTime>,
    /// Got its present secret, where it is not the first.
    #[oai(skip_serializing_if_is_none)]
    last_rolled_at: Option<OffsetDateTime>,
}

/// A secret key of a project with its secret, which is shown this once.
#[derive(Object)]
pub struct ProjectSecretKeyCreated {
    /// Id; not a secret.
    id: Uuid,
    /// What people call it.
    label: String,
    /// Its first and last four characters.
    mask: String,
    /// What it may be used for.
    scopes: Vec<String>,
    /// What servers present. It cannot be shown again.
    value: String,
    /// Created.
    created_at: OffsetDateTime,
}

/// A page of secret keys, newest first.
#[derive(Object)]
pub struct ProjectSecretKeyPage {
    /// The keys.
    items: Vec<ProjectSecretKey>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// A secret key to be created.
#[derive(Object)]
pub struct CreateProjectSecretKeyRequest {
    /// What to call it, 1 to 64 characters; unique in the project.
    label: String,
    /// What it may be used for, of `event:read`, `person:read`, `person:write` and `project:read`.
    scopes: Vec<String>,
}

/// Created; the secret is shown this once.
#[derive(ApiResponse)]
pub enum CreatedSecretKey {
    /// Created.
    #[oai(status = 201)]
    Created(Json<ProjectSecretKeyCreated>),
}

impl ProjectSecretKey {
    fn of(key: secret_keys::SecretKey) -> Self {
        Self {
            id: key.id.0,
            scopes: key.granted().list().to_vec(),
            created_by: key.created_by.map(|id| id.0),
            status: if key.exposed_at.is_none() { "active" } else { "exposed" }.to_owned(),
            created_at: key.created_at.to_utc(),
            last_used_at: key.used_at.map(Timestamp::to_utc),
            last_rolled_at: key.rolled_at.map(Timestamp::to_utc),
            label: key.label,
            mask: key.mask,
        }
    }
}

impl ProjectSecretKeyCreated {
    fn of(created: secret_keys::Created) -> Self {
        let key = created.key;
        Self {
            id: key.id.0,
            scopes: key.granted().list().to_vec(),
            value: created.secret_key.expose().clone(),
            created_at: key.created_at.to_utc(),
            label: key.label,
            mask: key.mask,
        }
    }
}

/// Operations on secret keys of projects.
pub struct SecretKeysApi;

#[OpenApi(prefix_path = "/api/projects", tag = "Tag::SecretKeys")]
impl SecretKeysApi {
    /// List a project's secret keys
    ///
    /// The secret keys of a project, the newest first. For admins of its organization.
    #[oai(path = "/:project_id/secret_keys", method = "get", operation_id = "listProjectSecretKeys")]
    async fn list(
        &self,
        state: Data<&AppState>,
        session: Session,
        project_id: Path<Uuid>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many keys a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> poem::Result<Json<ProjectSecretKeyPage>> {
        let page = (paging::rows_to_read(limit.0), paging::position(cursor.0.as_deref())?);
        let (actor, project_id) = (session.0.actor(), ProjectId(project_id.0));
        let keys = secret_keys::list(&state.kernel, &actor, project_id, page).await.map_err(problem)?;
        let (keys, next_cursor) = paging::cut(keys, limit.0, |key| key.id.to_string());
        Ok(Json(ProjectSecretKeyPage { items: keys.into_iter().map(ProjectSecretKey::of).collect(), next_cursor }))
    }

    /// Create a project's secret key
    ///
    /// The secret is shown in this answer and never again. It belongs to the project and stays when its creator leaves. For
    /// admins of the organization; needs a recent proof of identity.
    #[oai(path = "/:project_id/secret_keys", method = "post", operation_id = "createProjectSecretKey")]
    async fn create(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        project_id: Path<Uuid>,
        body: Json<CreateProjectSecretKeyRequest>,
    ) -> poem::Result<CreatedSecretKey> {
        let kernel = &state.kernel;
        sessions::require_recent(kernel, &session.0, Sensitivity::Sensitive).map_err(problem)?;
        let (actor, project_id) = (session.0.actor(), ProjectId(project_id.0));
        let wish = (body.label.as_str(), body.scopes.as_slice());
        let created = secret_keys::create(kernel, &client, &actor, project_id, wish).await.map_err(problem)?;
        Ok(CreatedSecretKey::Created(Json(ProjectSecretKeyCreated::of(created))))
    }

    /// Delete a project's secret key
    ///
    /// It is refused from the next request on. For admins of the organization; needs a recent proof of identity.
    #[oai(path = "/:project_id/secret_keys/:secret_key_id", method = "delete", operation_id = "deleteProjectSecretKey")]
    async fn delete(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        project_id: Path<Uuid>,
        secret_key_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        let kernel = &state.kernel;
        sessions::require_recent(kernel, &session.0, Sensitivity::Sensitive).map_err(problem)?;
        let (actor, key) = (session.0.actor(), (ProjectId(project_id.0), SecretKeyId(secret_key_id.0)));
        secret_keys::delete(kernel, &client, &actor, key).await.map_err(problem)?;
        Ok(NoContent::Done)
    }

    /// Roll a project's secret key
    ///
    /// Gives the key another secret, shown in this answer and never again; the former one is refused from the next request
    /// on. For admins of the organization; needs a recent proof of identity.
    #[oai(
        path = "/:project_id/secret_keys/:secret_key_id/roll",
        method = "post",
        operation_id = "rollProjectSecretKey"
    )]
    async fn roll(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        project_id: Path<Uuid>,
        secret_key_id: Path<Uuid>,
    ) -> poem::Result<Json<ProjectSecretKeyCreated>> {
        let kernel = &state.kernel;
        sessions::require_recent(kernel, &session.0, Sensitivity::Sensitive).map_err(problem)?;
        let (actor, key) = (session.0.actor(), (ProjectId(project_id.0), SecretKeyId(secret_key_id.0)));
        let rolled = secret_keys::roll(kernel, &client, &actor, key).await.map_err(problem)?;
        Ok(Json(ProjectSecretKeyCreated::of(rolled)))
    }
}
