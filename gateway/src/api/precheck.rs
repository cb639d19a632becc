//! What a sign-in page asks about an address first.

use poem::{Request, web::Data};
use poem_openapi::{Object, OpenApi, payload::Json};
use shared::{
    client::Client,
    precheck::{self, Offered},
};

use super::Tag;
use crate::{problem::problem, security, state::AppState};

/// An address that somebody wants to sign in with.
#[derive(Object)]
pub struct PrecheckRequest {
    /// E-mail address.
    email: String,
}

/// A passkey that may be asked for.
#[derive(Object)]
pub struct PrecheckPasskey {
    /// What the authenticator knows it by, in base64url.
    credential_id: String,
    /// `public-key`, as in WebAuthn.
    credential_type: String,
    /// How it can be reached, as in WebAuthn: `internal`, `hybrid`, `usb`, `nfc`, `ble`. More values may follow.
    transports: Vec<String>,
}

impl From<Offered> for PrecheckPasskey {
    fn from(offered: Offered) -> Self {
        Self {
            credential_id: offered.credential_id,
            credential_type: "public-key".to_owned(),
            transports: offered.transports,
        }
    }
}

/// What an address is signed in with.
#[derive(Object)]
pub struct Precheck {
    /// The provider that the domain of the address demands; absent where it demands none.
    #[oai(skip_serializing_if_is_none)]
    sso_enforcement: Option<String>,
    /// Whether the domain has SAML; no domain has yet.
    saml_available: bool,
    /// Passkeys to ask for. Addresses without any, of nobody too, have some that do not exist; where a provider is demanded
    /// there are none.
    passkeys: Vec<PrecheckPasskey>,
}

/// What is asked before signing in.
pub struct PrecheckApi;

#[OpenApi(prefix_path = "/api/login/precheck", tag = "Tag::Logins")]
impl PrecheckApi {
    /// Ask what an address is signed in with
    ///
    /// Tells the provider that the domain demands, and passkeys. Whether there is a user is not told: every address has
    /// passkeys, always the same, and some of them exist. Thirty questions a minute and client network; questions of a
    /// signed-in user about their own address are not counted.
    #[oai(path = "/", method = "post", operation_id = "precheckLogin")]
    async fn precheck(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        request: &Request,
        body: Json<PrecheckRequest>,
    ) -> poem::Result<Json<Precheck>> {
        let live = security::live_session(&state, request).await;
        let question = (body.email.as_str(), live.as_ref().map(|live| &live.user));
        let told = precheck::precheck(&state.kernel, &client, question).await.map_err(problem)?;
        Ok(Json(Precheck {
            sso_enforcement: told.sso_enforcement,
            saml_available: false,
            passkeys: told.passkeys.into_iter().map(PrecheckPasskey::from).collect(),
        }))
    }
}
