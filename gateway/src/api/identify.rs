//! Proofs of identity that a project may ask its clients for.

use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use shared::{
    client::Client,
    clock::Timestamp,
    identify::verification,
    orgs::By,
    projects::ProjectId,
    sessions::{self, Sensitivity},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Tag, recovery::NoContent};
use crate::{
    problem::problem,
    security::{Caller, Session},
    state::AppState,
};

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

/// Operations on what identifying people needs.
pub struct IdentifyApi;

#[OpenApi(prefix_path = "/api/projects", tag = "Tag::Projects")]
impl IdentifyApi {
    /// Get whether a project asks for proofs of identity
    ///
    /// Without the secret that they are made with.
    #[oai(path = "/:project_id/identify_verification", method = "get", operation_id = "getIdentifyVerification")]
    async fn get(
        &self,
        state: Data<&AppState>,
        caller: Caller,
        project_id: Path<Uuid>,
    ) -> poem::Result<Json<IdentifyVerification>> {
        let found = verification::required_since(&state.kernel, &caller.actor, ProjectId(project_id.0)).await;
        let since = found.map_err(problem)?;
        Ok(Json(IdentifyVerification { is_required: since.is_some(), required_since: since.map(Timestamp::to_utc) }))
    }

    /// Ask for proofs of identity
    ///
    /// From now on `$identify` and `$create_alias` merge and change properties only with the right `$identity_hash`, or with
    /// a secret key of the project. Answers the secret that the proofs are made with, asked again the same one. For admins
    /// of the organization; needs a recent proof of identity.
    #[oai(path = "/:project_id/identify_verification", method = "put", operation_id = "requireIdentifyVerification")]
    async fn require(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        project_id: Path<Uuid>,
    ) -> poem::Result<Json<IdentifyVerificationSecret>> {
        sessions::require_recent(&state.kernel, &session.0, Sensitivity::Sensitive).map_err(problem)?;
        let by = By { actor: &session.0.actor(), client: &client };
        let required = verification::require(&state.kernel, by, ProjectId(project_id.0)).await;
        let (secret, since) = required.map_err(problem)?;
        let verification_secret = secret.expose().clone();
        Ok(Json(IdentifyVerificationSecret { verification_secret, required_since: since.to_utc() }))
    }

    /// Ask for no proofs of identity
    ///
    /// The secret is worth nothing from then on: asked for proofs again, the project gets another one. For admins of the
    /// organization; needs a recent proof of identity.
    #[oai(path = "/:project_id/identify_verification", method = "delete", operation_id = "waiveIdentifyVerification")]
    async fn waive(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        project_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        sessions::require_recent(&state.kernel, &session.0, Sensitivity::Sensitive).map_err(problem)?;
        let by = By { actor: &session.0.actor(), client: &client };
        verification::waive(&state.kernel, by, ProjectId(project_id.0)).await.map_err(problem)?;
        Ok(NoContent::Done)
    }
}
