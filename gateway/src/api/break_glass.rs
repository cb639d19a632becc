//! The break-glass code of an organization.

use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use shared::{
    break_glass,
    client::Client,
    orgs::{By, OrgId},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Tag, organizations::demand, recovery::NoContent};
use crate::{problem::problem, security::Session, state::AppState};

/// A code that was just made.
#[derive(Object)]
pub struct BreakGlassCodeCreated {
    /// Id; not a secret.
    id: Uuid,
    /// The code. It is shown once.
    value: String,
    /// When it was made.
    created_at: OffsetDateTime,
}

/// Operations on break-glass codes.
pub struct BreakGlassApi;

#[OpenApi(prefix_path = "/api/organizations", tag = "Tag::Domains")]
impl BreakGlassApi {
    /// Make a break-glass code
    ///
    /// For owners, with a recent proof of identity. With the code an owner signs in once by password although a domain of
    /// the organization demands a provider. An earlier code that nobody used is void; the administrators are told by mail.
    #[oai(path = "/:organization_id/break_glass_code", method = "post", operation_id = "createBreakGlassCode")]
    async fn create(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        organization_id: Path<Uuid>,
    ) -> poem::Result<Json<BreakGlassCodeCreated>> {
        let (actor, org_id) = (session.0.actor(), OrgId(organization_id.0));
        demand(&state, &session, org_id).await?;
        let by = By { actor: &actor, client: &client };
        let made = break_glass::create(&state.kernel, by, org_id).await.map_err(problem)?;
        Ok(Json(BreakGlassCodeCreated {
            id: made.code.id.0,
            value: made.value.expose().clone(),
            created_at: made.code.created_at.to_utc(),
        }))
    }

    /// Take the break-glass code back
    ///
    /// For owners, with a recent proof of identity. The code that nobody used, if there is one, opens nothing from then on.
    #[oai(path = "/:organization_id/break_glass_code", method = "delete", operation_id = "deleteBreakGlassCode")]
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
        break_glass::remove(&state.kernel, by, org_id).await.map_err(problem)?;
        Ok(NoContent::Done)
    }
}
