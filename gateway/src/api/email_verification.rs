//! Proof of an address.

use poem::web::Data;
use poem_openapi::{Object, OpenApi, payload::Json};
use shared::{
    client::Client,
    email_verification::{self, EmailVerificationError},
};

use super::{Tag, login::Login, signup::Accepted};
use crate::{problem::problem, state::AppState};

/// The proof: the token of the mailed link, or the address with the mailed code.
#[derive(Object)]
pub struct ConfirmEmailRequest {
    /// What follows `token=` in the mailed link.
    token: Option<String>,
    /// The address that the code was mailed to.
    email: Option<String>,
    /// The six digits of the mail.
    code: Option<String>,
}

/// Whose proof is to be mailed again.
#[derive(Object)]
pub struct ResendEmailVerificationRequest {
    /// The address.
    email: String,
}

/// Operations of proving an address.
pub struct EmailVerificationApi;

#[OpenApi(prefix_path = "/api/email_verification", tag = "Tag::EmailVerifications")]
impl EmailVerificationApi {
    /// Confirm an e-mail address
    ///
    /// Takes either the token of the mailed link, or the address and the code. Proof never signs anyone in: `status` is
    /// `login_required`, and what follows is an ordinary login. Confirming again with a spent link answers the same.
    #[oai(path = "/confirm", method = "post", operation_id = "confirmEmail")]
    async fn confirm(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        body: Json<ConfirmEmailRequest>,
    ) -> poem::Result<Json<Login>> {
        let kernel = &state.kernel;
        let confirmed = match (&body.token, &body.email, &body.code) {
            (Some(token), _, _) => email_verification::confirm_link(kernel, &client, token).await,
            (None, Some(email), Some(code)) => email_verification::confirm_code(kernel, &client, email, code).await,
            (None, _, _) => Err(EmailVerificationError::InvalidToken),
        };
        confirmed.map_err(problem)?;
        Ok(Json(Login::login_required()))
    }

    /// Mail the proof again
    ///
    /// Mails a new link and code if the address belongs to a user who has not proven it. The answer is always the same.
    #[oai(path = "/resend", method = "post", operation_id = "resendEmailVerification")]
    async fn resend(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        body: Json<ResendEmailVerificationRequest>,
    ) -> poem::Result<Accepted> {
        email_verification::resend(&state.kernel, &client, &body.email).await.map_err(problem)?;
        Ok(Accepted::look_into_your_mailbox())
    }
}
