//! Step-up: proving again who one is.

use poem::{Request, http::header, web::Data};
use poem_openapi::{
    Object, OpenApi,
    payload::{Json, Response},
};
use shared::{
    client::Client,
    secret::Redacted,
    sessions::Renewed,
    step_up::{self, Evidence},
};

use super::{Tag, login::SessionCreated};
use crate::{
    problem::problem,
    security::{
        Session,
        cookies::{self, SameSite},
    },
    state::AppState,
};

/// Proof of identity.
#[derive(Object)]
pub struct ReauthenticateRequest {
    /// The password.
    password: Option<String>,
    /// In its place, a code of the authenticator app.
    code: Option<String>,
    /// In its place, a backup code.
    backup_code: Option<String>,
}

/// Operations of step-up.
pub struct StepUpApi;

#[OpenApi(prefix_path = "/api/users/@me", tag = "Tag::Users")]
impl StepUpApi {
    /// Prove identity again
    ///
    /// Sensitive operations need a proof that is two hours old at most, changes of factors one of five minutes. The session
    /// stays and its token is replaced: in the cookie, or as `token` where the request carried a bearer token.
    #[oai(path = "/reauthenticate", method = "post", operation_id = "reauthenticate")]
    async fn reauthenticate(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        request: &Request,
        session: Session,
        body: Json<ReauthenticateRequest>,
    ) -> poem::Result<Response<Json<SessionCreated>>> {
        let Json(ReauthenticateRequest { password, code, backup_code }) = body;
        let evidence = match (password, super::two_factor::offer(code, None, backup_code)) {
            (Some(password), _) => Evidence::Password(Redacted::new(password)),
            (None, Some(offer)) => Evidence::Factor(offer),
            (None, None) => Evidence::Nothing,
        };
        let renewed = step_up::reauthenticate(&state.kernel, &state.hasher, &client, &session.0, evidence)
            .await
            .map_err(problem)?;
        Ok(reply(&state, request, &renewed))
    }
}

/// The replaced token goes where the old one came from.
fn reply(state: &AppState, request: &Request, renewed: &Renewed) -> Response<Json<SessionCreated>> {
    let is_token = request.headers().contains_key(header::AUTHORIZATION);
    let reply = Response::new(Json(SessionCreated::renewed(renewed, is_token)));
    if is_token {
        return reply;
    }
    let http = &state.kernel.config.http;
    let age = renewed.expires_at.since(state.kernel.clock.now()).as_secs();
    let (name, value) = (cookies::session_name(http), renewed.session_token.expose());
    reply.header("Set-Cookie", cookies::write(http, name, value, age, SameSite::Lax))
}
