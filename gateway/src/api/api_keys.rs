//! Personal API keys of the signed-in user, and reports of leaked ones.

use poem::web::Data;
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use shared::{
    api_keys::{self, ApiKeyError, ApiKeyId, Wish},
    client::Client,
    clock::Timestamp,
    kernel::Kernel,
    orgs::OrgId,
    projects::ProjectId,
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

/// A personal API key.
#[derive(Object)]
pub struct ApiKey {
    /// Id; not a secret.
    id: Uuid,
    /// What its owner calls it.
    label: String,
    /// Its first and last four characters.
    mask: String,
    /// What it may be used for.
    scopes: Vec<String>,
    /// The organizations that it is limited to; empty for all of its owner.
    scoped_organizations: Vec<Uuid>,
    /// The projects that it is limited to; empty for all of the organizations.
    scoped_projects: Vec<Uuid>,
    /// `active`; `expired` after a year without use; `exposed` when it was reported as leaked; `ended` with everything
    /// that its owner held, by a new password for instance. More values may follow.
    status: String,
    /// Created.
    created_at: OffsetDateTime,
    /// Last use, to the hour.
    #[oai(skip_serializing_if_is_none)]
    last_used_at: Option<OffsetDateTime>,
    /// Got its present secret, where it is not the first.
    #[oai(skip_serializing_if_is_none)]
    last_rolled_at: Option<OffsetDateTime>,
    /// When it expires unless it is used before.
    expires_at: OffsetDateTime,
}

/// A personal API key with its secret, which is shown this once.
#[derive(Object)]
pub struct ApiKeyCreated {
    /// Id; not a secret.
    id: Uuid,
    /// What its owner calls it.
    label: String,
    /// Its first and last four characters.
    mask: String,
    /// What it may be used for.
    scopes: Vec<String>,
    /// The organizations that it is limited to; empty for all of its owner.
    scoped_organizations: Vec<Uuid>,
    /// The projects that it is limited to; empty for all of the organizations.
    scoped_projects: Vec<Uuid>,
    /// What programs present. It cannot be shown again.
    value: String,
    /// Created.
    created_at: OffsetDateTime,
    /// When it expires unless it is used before.
    expires_at: OffsetDateTime,
}

/// A page of personal API keys, newest first.
#[derive(Object)]
pub struct ApiKeyPage {
    /// The keys.
    items: Vec<ApiKey>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// A key to be created.
#[derive(Object)]
pub struct CreateApiKeyRequest {
    /// What to call it, 1 to 64 characters.
    label: String,
    /// What it may be used for: `*`, or `read` and `write` of an object such as `project:read`; writing includes reading.
    scopes: Vec<String>,
    /// The organizations to limit it to, of which its owner is a member.
    scoped_organizations: Option<Vec<Uuid>>,
    /// The projects to limit it to; they bring their organizations, unless `scoped_organizations` says which.
    scoped_projects: Option<Vec<Uuid>>,
}

/// What to change about a key; absent members stay as they are.
#[derive(Object)]
pub struct UpdateApiKeyRequest {
    /// What to call it, 1 to 64 characters.
    label: Option<String>,
    /// What it may be used for.
    scopes: Option<Vec<String>>,
    /// The organizations to limit it to; an empty list for all.
    scoped_organizations: Option<Vec<Uuid>>,
    /// The projects to limit it to; an empty list for all.
    scoped_projects: Option<Vec<Uuid>>,
}

/// A key that somebody found.
#[derive(Object)]
pub struct ReportApiKeyLeakRequest {
    /// The key: a personal API key, or a project's secret key.
    #[oai(validator(max_length = 256))]
    api_key: String,
    /// Where it was found, such as the address of a page; whom it belongs to is told.
    #[oai(validator(max_length = 300))]
    found_in: String,
}

/// What became of a report.
#[derive(Object)]
pub struct ApiKeyLeakReported {
    /// `true_positive`: the key was good; it is refused from now on and whom it belongs to is told. `false_positive`: it is none of
    /// ours, or was refused before.
    label: String,
}

/// Created; the secret is shown this once.
#[derive(ApiResponse)]
pub enum CreatedKey {
    /// Created.
    #[oai(status = 201)]
    Created(Json<ApiKeyCreated>),
}

fn expires_at(kernel: &Kernel, key: &api_keys::ApiKey) -> Timestamp {
    key.active_at + kernel.config.api_keys.inactivity()
}

impl ApiKey {
    fn of(kernel: &Kernel, key: api_keys::ApiKey, auth_epoch: i64) -> Self {
        let state = key.state(auth_epoch, kernel.config.api_keys.inactivity(), kernel.clock.now());
        Self {
            id: key.id.0,
            scopes: key.granted().list().to_vec(),
            scoped_organizations: key.organizations().into_iter().map(|id| id.0).collect(),
            scoped_projects: key.projects(),
            status: state.as_str().to_owned(),
            created_at: key.created_at.to_utc(),
            last_used_at: key.used_at.map(Timestamp::to_utc),
            last_rolled_at: key.rolled_at.map(Timestamp::to_utc),
            expires_at: expires_at(kernel, &key).to_utc(),
            label: key.label,
            mask: key.mask,
        }
    }
}

impl ApiKeyCreated {
    fn of(kernel: &Kernel, created: api_keys::Created) -> Self {
        let key = created.key;
        Self {
            id: key.id.0,
            scopes: key.granted().list().to_vec(),
            scoped_organizations: key.organizations().into_iter().map(|id| id.0).collect(),
            scoped_projects: key.projects(),
            value: created.api_key.expose().clone(),
            created_at: key.created_at.to_utc(),
            expires_at: expires_at(kernel, &key).to_utc(),
            label: key.label,
            mask: key.mask,
        }
    }
}

fn wish(
    label: Option<String>,
    scopes: Option<Vec<String>>,
    (organizations, projects): (Option<Vec<Uuid>>, Option<Vec<Uuid>>),
) -> Wish {
    Wish {
        label,
        scopes,
        organizations: organizations.map(|ids| ids.into_iter().map(OrgId).collect()),
        projects: projects.map(|ids| ids.into_iter().map(ProjectId).collect()),
    }
}

/// Operations on personal API keys.
pub struct ApiKeysApi;

#[OpenApi(prefix_path = "/api", tag = "Tag::ApiKeys")]
impl ApiKeysApi {
    /// List personal API keys
    ///
    /// The keys of the signed-in user, the newest first, also those that can no longer be used.
    #[oai(path = "/users/@me/api_keys", method = "get", operation_id = "listApiKeys")]
    async fn list(
        &self,
        state: Data<&AppState>,
        session: Session,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many keys a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> poem::Result<Json<ApiKeyPage>> {
        let (kernel, user) = (&state.kernel, &session.0.user);
        let page = (paging::rows_to_read(limit.0), paging::position(cursor.0.as_deref())?);
        let keys = api_keys::list(kernel, user, page).await.map_err(problem)?;
        let (keys, next_cursor) = paging::cut(keys, limit.0, |key| key.id.to_string());
        let items = keys.into_iter().map(|key| ApiKey::of(kernel, key, user.auth_epoch)).collect();
        Ok(Json(ApiKeyPage { items, next_cursor }))
    }

    /// Create a personal API key
    ///
    /// The secret is shown in this answer and never again; its owner is told by mail. Needs a recent proof of identity.
    #[oai(path = "/users/@me/api_keys", method = "post", operation_id = "createApiKey")]
    async fn create(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        body: Json<CreateApiKeyRequest>,
    ) -> poem::Result<CreatedKey> {
        let Json(CreateApiKeyRequest { label, scopes, scoped_organizations, scoped_projects }) = body;
        let wish = wish(Some(label), Some(scopes), (scoped_organizations, scoped_projects));
        let created = api_keys::create(&state.kernel, &client, &session.0, wish).await.map_err(problem)?;
        Ok(CreatedKey::Created(Json(ApiKeyCreated::of(&state.kernel, created))))
    }

    /// Get the key of this request
    ///
    /// What the personal API key that the request carries is, and may be used for. Any key will do.
    #[oai(path = "/users/@me/api_keys/@current", method = "get", operation_id = "getCurrentApiKey")]
    #[expect(clippy::unused_async, reason = "operations are asynchronous; the extractor did the waiting")]
    async fn get_current(&self, state: Data<&AppState>, caller: Caller) -> poem::Result<Json<ApiKey>> {
        let principal = caller.api_key().ok_or_else(|| problem(ApiKeyError::NotFound))?;
        Ok(Json(ApiKey::of(&state.kernel, api_keys::ApiKey::clone(&principal.key), principal.user.auth_epoch)))
    }

    /// Get a personal API key
    ///
    /// One key of the signed-in user.
    #[oai(path = "/users/@me/api_keys/:api_key_id", method = "get", operation_id = "getApiKey")]
    async fn get(
        &self,
        state: Data<&AppState>,
        session: Session,
        api_key_id: Path<Uuid>,
    ) -> poem::Result<Json<ApiKey>> {
        let user = &session.0.user;
        let key = api_keys::find(&state.kernel, user.id, ApiKeyId(api_key_id.0)).await.map_err(problem)?;
        Ok(Json(ApiKey::of(&state.kernel, key, user.auth_epoch)))
    }

    /// Update a personal API key
    ///
    /// Changes its label, its scopes or what it is limited to; the next request with it is judged by them. Needs a recent
    /// proof of identity.
    #[oai(path = "/users/@me/api_keys/:api_key_id", method = "patch", operation_id = "updateApiKey")]
    async fn update(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        api_key_id: Path<Uuid>,
        body: Json<UpdateApiKeyRequest>,
    ) -> poem::Result<Json<ApiKey>> {
        let Json(UpdateApiKeyRequest { label, scopes, scoped_organizations, scoped_projects }) = body;
        let wish = wish(label, scopes, (scoped_organizations, scoped_projects));
        let id = ApiKeyId(api_key_id.0);
        let key = api_keys::update(&state.kernel, &client, &session.0, id, wish).await.map_err(problem)?;
        Ok(Json(ApiKey::of(&state.kernel, key, session.0.user.auth_epoch)))
    }

    /// Delete a personal API key
    ///
    /// It is refused from the next request on. Needs a recent proof of identity.
    #[oai(path = "/users/@me/api_keys/:api_key_id", method = "delete", operation_id = "deleteApiKey")]
    async fn delete(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        api_key_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        api_keys::delete(&state.kernel, &client, &session.0, ApiKeyId(api_key_id.0)).await.map_err(problem)?;
        Ok(NoContent::Done)
    }

    /// Roll a personal API key
    ///
    /// Gives the key another secret, shown in this answer and never again; the former one is refused from the next request
    /// on. A key that had expired, ended or leaked is good again. Needs a recent proof of identity.
    #[oai(path = "/users/@me/api_keys/:api_key_id/roll", method = "post", operation_id = "rollApiKey")]
    async fn roll(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        api_key_id: Path<Uuid>,
    ) -> poem::Result<Json<ApiKeyCreated>> {
        let id = ApiKeyId(api_key_id.0);
        let rolled = api_keys::roll(&state.kernel, &client, &session.0, id).await.map_err(problem)?;
        Ok(Json(ApiKeyCreated::of(&state.kernel, rolled)))
    }

    /// Report a leaked API key
    ///
    /// For whoever finds a key where it must not be: it is refused from now on. The owner of a personal API key, or those who
    /// manage the organization of a project's secret key, are told where it was found.
    #[oai(path = "/api_keys/report_leak", method = "post", operation_id = "reportApiKeyLeak")]
    async fn report_leak(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        body: Json<ReportApiKeyLeakRequest>,
    ) -> poem::Result<Json<ApiKeyLeakReported>> {
        let reported = api_keys::report_leak(&state.kernel, &client, &body.api_key, &body.found_in).await;
        let label = if reported.map_err(problem)? { "true_positive" } else { "false_positive" };
        Ok(Json(ApiKeyLeakReported { label: label.to_owned() }))
    }
}
