//! A new password by mail.

use poem::web::Data;
use poem_openapi::{ApiResponse, Object, OpenApi, payload::Json};
use shared::{client::Client, recovery};

use super::Tag;
use crate::{problem::problem, state::AppState};

/// Done; there is nothing to tell.
#[derive(ApiResponse)]
pub enum NoContent {
    /// Done.
    #[oai(status = 204)]
    Done,
}

/// Whose password is to be reset.
#[derive(Object)]
pub struct RequestPasswordResetRequest {
    /// The address.
    email: String,
}

/// A token to be checked.
#[derive(Object)]
pub struct ValidatePasswordResetRequest {
    /// What follows `token=` in the mailed link.
    token: String,
}

/// A new password.
#[derive(Object)]
pub struct CompletePasswordResetRequest {
    /// What follows `token=` in the mailed link.
    token: String,
    /// The new password, 8 to 1024 bytes.
    password: String,
}

/// What became of a token.
#[derive(Object)]
pub struct PasswordReset {
    /// `valid` when the token can set a password, `completed` when it has.
    status: String,
}

/// Operations of resetting a password.
pub struct RecoveryApi;

#[OpenApi(prefix_path = "/api/reset", tag = "Tag::PasswordResets")]
impl RecoveryApi {
    /// Request a password reset
    ///
    /// Mails a link that is good for one day and one use; a newer link replaces it. The answer is the same for every
    /// address, whether or not it has a user.
    #[oai(path = "/", method = "post", operation_id = "requestPasswordReset")]
    async fn request(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        body: Json<RequestPasswordResetRequest>,
    ) -> poem::Result<NoContent> {
        recovery::request(&state.kernel, &client, &body.email).await.map_err(problem)?;
        Ok(NoContent::Done)
    }

    /// Check a reset token
    ///
    /// Tells whether the token could set a password now. Does not spend it.
    #[oai(path = "/validate", method = "post", operation_id = "validatePasswordReset")]
    async fn validate(
        &self,
        state: Data<&AppState>,
        body: Json<ValidatePasswordResetRequest>,
    ) -> poem::Result<Json<PasswordReset>> {
        recovery::validate(&state.kernel, &body.token).await.map_err(problem)?;
        Ok(Json(PasswordReset { status: "valid".to_owned() }))
    }

    /// Set a new password
    ///
    /// Spends the token, sets the password, ends all sessions, trusted devices and pending logins of the user, and tells
    /// them by mail. Opens no session. A password that is refused leaves the token good.
    #[oai(path = "/complete", method = "post", operation_id = "completePasswordReset")]
    async fn complete(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        body: Json<CompletePasswordResetRequest>,
    ) -> poem::Result<Json<PasswordReset>> {
        recovery::complete(&state.kernel, &state.hasher, &client, &body.token, &body.password)
            .await
            .map_err(problem)?;
        Ok(Json(PasswordReset { status: "completed".to_owned() }))
    }
}
