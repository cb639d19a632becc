//! Sessions.

use poem::web::Data;
use poem_openapi::{ApiResponse, OpenApi};
use shared::{client::Client, sessions};

use super::Tag;
use crate::{
    problem::problem,
    security::{
        Session,
        cookies::{self, SameSite},
    },
    state::AppState,
};

/// Signed out; the cookie is removed.
#[derive(ApiResponse)]
pub enum SignedOut {
    /// Signed out.
    #[oai(status = 204)]
    Done(#[oai(header = "Set-Cookie")] String),
}

/// Operations on sessions.
pub struct SessionsApi;

#[OpenApi(prefix_path = "/api", tag = "Tag::Sessions")]
impl SessionsApi {
    /// Sign out
    ///
    /// Ends the session that the request carries and removes its cookie.
    #[oai(path = "/logout", method = "post", operation_id = "logout")]
    async fn log_out(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
    ) -> poem::Result<SignedOut> {
        sessions::log_out(&state.kernel, &client, &session.0).await.map_err(problem)?;
        let config = &state.kernel.config.http;
        Ok(SignedOut::Done(cookies::write(config, cookies::session_name(config), "", 0, SameSite::Lax)))
    }
}
