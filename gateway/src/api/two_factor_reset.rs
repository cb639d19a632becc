//! Letting a user without their second factor back in.

use poem::{Request, web::Data};
use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use shared::{client::Client, two_factor_reset, users::UserId};
use uuid::Uuid;

use super::{Tag, recovery::NoContent};
use crate::{
    problem::problem,
    security::{self, Session},
    state::AppState,
};

/// The wish to remove one's second factors.
#[derive(Object)]
pub struct CompleteTwoFactorResetRequest {
    /// What follows `token=` in the mailed link.
    token: String,
    /// The user's password.
    password: String,
}

/// Operations of resetting second factors.
pub struct TwoFactorResetApi;

#[OpenApi(prefix_path = "/api", tag = "Tag::TwoFactorResets")]
impl TwoFactorResetApi {
    /// Let a user reset their second factors
    ///
    /// For administrators of an organization that the user belongs to, with a proof of identity of the last two hours. Mails
    /// the user a link that is good for one day and one use, and changes nothing by itself; a newer link replaces it. Nobody
    /// can ask for themselves, or for a user whose role is higher.
    #[oai(path = "/users/:user_id/two_factor_reset", method = "post", operation_id = "resetUserTwoFactor")]
    async fn request(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        /// The user.
        user_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        two_factor_reset::request(&state.kernel, &client, &session.0, UserId(*user_id)).await.map_err(problem)?;
        Ok(NoContent::Done)
    }

    /// Reset one's second factors
    ///
    /// Spends the mailed token, together with the user's password: removes the authenticator app and the backup codes, keeps
    /// passkeys, ends all sessions, trusted devices and pending logins, and tells the user by mail. Opens no session. A wrong
    /// password leaves the token good; a session of somebody else is refused.
    #[oai(path = "/two_factor_reset/complete", method = "post", operation_id = "completeTwoFactorReset")]
    async fn complete(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        request: &Request,
        body: Json<CompleteTwoFactorResetRequest>,
    ) -> poem::Result<NoContent> {
        let present = security::live_session(&state, request).await.map(|live| live.user.id);
        let proof = (body.token.as_str(), body.password.as_str());
        two_factor_reset::complete(&state.kernel, &state.hasher, &client, present, proof).await.map_err(problem)?;
        Ok(NoContent::Done)
    }
}
