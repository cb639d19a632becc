//! Signing up.

use poem::web::Data;
use poem_openapi::{ApiResponse, Object, OpenApi, payload::Json};
use shared::{
    client::Client,
    invites::InviteId,
    secret::Redacted,
    signup::{self, SignUp},
    users::Profile,
};

use uuid::Uuid;

use super::Tag;
use crate::{problem::problem, state::AppState};

/// What a newcomer sends.
#[derive(Object)]
pub struct SignUpRequest {
    /// E-mail address.
    #[oai(validator(max_length = 320))]
    email: String,
    /// Password, 8 to 1024 bytes.
    password: String,
    /// First name.
    first_name: Option<String>,
    /// Last name.
    last_name: Option<String>,
    /// The invite that they come with. It is accepted once the address is proven, if it was sent to this address.
    invite_id: Option<Uuid>,
}

/// The request was taken; what came of it is in the mailbox of the address.
#[derive(ApiResponse)]
pub enum Accepted {
    /// Taken.
    #[oai(status = 202)]
    Taken(Json<Acceptance>),
}

/// What is told of a request whose outcome only the mailbox knows.
#[derive(Object)]
pub struct Acceptance {
    /// What to do next, for people.
    message: String,
}

impl Accepted {
    /// Points to the mailbox.
    #[must_use]
    pub fn look_into_your_mailbox() -> Self {
        Self::Taken(Json(Acceptance { message: "Look into your mailbox.".to_owned() }))
    }
}

/// Operations of signing up.
pub struct SignupApi;

#[OpenApi(prefix_path = "/api", tag = "Tag::Signups")]
impl SignupApi {
    /// Sign up
    ///
    /// Creates a user and mails a link and a code that prove the address. The answer is the same for an address that
    /// already has a user, whose owner is told by mail. The first user of an installation becomes its administrator.
    #[oai(path = "/signup", method = "post", operation_id = "signUp")]
    async fn sign_up(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        body: Json<SignUpRequest>,
    ) -> poem::Result<Accepted> {
        let Json(SignUpRequest { email, password, first_name, last_name, invite_id }) = body;
        let wish = SignUp {
            email,
            password: Redacted::new(password),
            profile: Profile { first_name, last_name },
            invite_id: invite_id.map(InviteId),
        };
        signup::sign_up(&state.kernel, &state.hasher, &client, wish).await.map_err(problem)?;
        Ok(Accepted::look_into_your_mailbox())
    }
}
