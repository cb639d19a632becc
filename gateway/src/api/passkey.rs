//! Passkeys: signing in with one, and those of the signed-in user.
//!
//! Options and credentials are the JSON forms of Web Authentication Level 3 (`parseCreationOptionsFromJSON`,
//! `parseRequestOptionsFromJSON`, `PublicKeyCredential.toJSON`): pages hand them through unread.

use std::borrow::Cow;

use poem::{Request, web::Data};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::{Json, Response},
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;
use shared::{
    client::Client,
    clock::Timestamp,
    login::{self, AnonymousClaim, Context, LoginError},
    passkey::{self, CeremonyId, LoginAnswer, PasskeyError, PasskeyId, Registered, RegistrationAnswer},
    secret::Redacted,
    two_factor,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Tag,
    login::{Reply, SessionTransport, context, reply},
    recovery::NoContent,
};
use crate::{
    paging,
    problem::problem,
    security::{
        Session,
        cookies::{self, SameSite},
    },
    state::AppState,
};

/// What every token of a challenge looks like.
const CEREMONY_TOKEN: (&str, usize) = ("gppk_", 5 + 43);

/// Declares a JSON object whose members another standard defines.
macro_rules! foreign_object {
    ($name:ident, $description:literal) => {
        #[doc = $description]
        pub struct $name(pub Value);

        impl Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Reference(stringify!($name).to_owned())
            }

            fn register(registry: &mut Registry) {
                registry.create_schema::<Self, _>(stringify!($name).to_owned(), |_| MetaSchema {
                    description: Some($description),
                    additional_properties: Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::ANY)))),
                    ..MetaSchema::new("object")
                });
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::empty())
            }
        }

        impl ParseFromJSON for $name {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                let value = value.unwrap_or_default();
                if value.is_object() { Ok(Self(value)) } else { Err(ParseError::expected_type(value)) }
            }
        }

        impl ToJSON for $name {
            fn to_json(&self) -> Option<Value> {
                Some(self.0.clone())
            }
        }
    };
}

pub(super) use foreign_object;

foreign_object!(
    PasskeyOptions,
    "`PublicKeyCredentialCreationOptionsJSON` to add a passkey, `PublicKeyCredentialRequestOptionsJSON` to use one (W3C Web Authentication Level 3, sections 5.1.9 and 5.1.10)."
);
foreign_object!(
    PasskeyCredential,
    "`RegistrationResponseJSON` of a new passkey, `AuthenticationResponseJSON` of one that is used (W3C Web Authentication Level 3, section 5.1.8): what `PublicKeyCredential.toJSON()` gives."
);

/// A passkey of the user.
#[derive(Object)]
pub struct Passkey {
    /// Id.
    id: Uuid,
    /// What the user calls it.
    label: String,
    /// What holds it: `platform`, `hybrid`, `hardware` or `unknown`. More values may follow.
    kind: String,
    /// How it can be reached: `usb`, `nfc`, `ble`, `smart-card`, `hybrid`, `internal`. More values may follow.
    transports: Vec<String>,
    /// Whether it may be copied to further devices of its user.
    is_backup_eligible: bool,
    /// Whether it was, when it was used last.
    is_backed_up: bool,
    /// When it was added.
    created_at: OffsetDateTime,
    /// When it signed its user in last.
    #[oai(skip_serializing_if_is_none)]
    last_used_at: Option<OffsetDateTime>,
}

impl From<passkey::StoredPasskey> for Passkey {
    fn from(row: passkey::StoredPasskey) -> Self {
        Self {
            id: row.id.0,
            kind: row.kind().to_owned(),
            transports: row.transports(),
            label: row.label,
            is_backup_eligible: row.is_backup_eligible,
            is_backed_up: row.is_backed_up,
            created_at: row.created_at.to_utc(),
            last_used_at: row.last_used_at.map(Timestamp::to_utc),
        }
    }
}

/// A page of passkeys, newest first.
#[derive(Object)]
pub struct PasskeyPage {
    /// The passkeys.
    items: Vec<Passkey>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// A challenge for an authenticator.
#[derive(Object)]
pub struct PasskeyChallenge {
    /// What the answer refers to.
    ceremony_id: Uuid,
    /// What binds the challenge of a sign-in to this client, for `session_transport: token` only. Browsers have it in a
    /// cookie, and challenges of a signed-in user are bound to the session.
    #[oai(skip_serializing_if_is_none)]
    ceremony_token: Option<String>,
    /// The options for the authenticator. Whether passkeys are offered in a form (`mediation: conditional`) is the page's
    /// choice.
    public_key: PasskeyOptions,
    /// How long the challenge is good, for one answer.
    expires_at: OffsetDateTime,
}

impl From<passkey::Challenge> for PasskeyChallenge {
    fn from(challenge: passkey::Challenge) -> Self {
        Self {
            ceremony_id: challenge.ceremony_id.0,
            ceremony_token: None,
            public_key: PasskeyOptions(challenge.public_key),
            expires_at: challenge.expires_at.to_utc(),
        }
    }
}

/// Where adding a passkey stands.
#[derive(Object)]
pub struct PasskeyCreation {
    /// What comes next: `verification_required` or `created`. More values may follow.
    status: String,
    /// What the new passkey has to answer, while that is due.
    #[oai(skip_serializing_if_is_none)]
    verification: Option<PasskeyChallenge>,
    /// The passkey, once it is there.
    #[oai(skip_serializing_if_is_none)]
    passkey: Option<Passkey>,
}

/// An answer of an authenticator to a challenge of a new passkey.
#[derive(Object)]
pub struct CreatePasskeyRequest {
    /// The challenge.
    ceremony_id: Uuid,
    /// The answer.
    credential: PasskeyCredential,
    /// What the user calls the passkey, up to 200 characters; read from the first of the two answers.
    label: Option<String>,
}

/// What to change.
#[derive(Object)]
pub struct UpdatePasskeyRequest {
    /// What the user calls it, up to 200 characters.
    label: String,
}

/// How the client is going to keep its session.
#[derive(Object)]
pub struct StartPasskeyLoginRequest {
    /// How the session will be kept; `cookie` unless it says otherwise.
    session_transport: Option<SessionTransport>,
}

/// An answer of an authenticator to a challenge of a sign-in.
#[derive(Object)]
pub struct FinishPasskeyLoginRequest {
    /// The challenge.
    ceremony_id: Uuid,
    /// What binds the challenge to this client; browsers have it in a cookie.
    ceremony_token: Option<String>,
    /// The answer.
    credential: PasskeyCredential,
    /// What the client called its user before, in the events that it captures for the project.
    anonymous_distinct_id: Option<String>,
    /// The token of the project that the client captures events for.
    project_token: Option<String>,
}

/// Operations of signing in with a passkey.
pub struct PasskeyLoginApi;

#[OpenApi(prefix_path = "/api/login/passkey", tag = "Tag::Passkeys")]
impl PasskeyLoginApi {
    /// Begin a sign-in with a passkey
    ///
    /// Gives a challenge that any passkey of this installation can answer: no address is asked for. Pages that offer
    /// passkeys in their form fields call it when they open.
    #[oai(path = "/start", method = "post", operation_id = "startPasskeyLogin")]
    async fn start(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        request: &Request,
        body: Json<StartPasskeyLoginRequest>,
    ) -> poem::Result<Response<Json<PasskeyChallenge>>> {
        let is_token = matches!(body.session_transport, Some(SessionTransport::Token));
        let held = ceremony_cookie(&state, request).filter(|_| !is_token);
        let started = passkey::start_login(&state.kernel, &client, held, is_token).await.map_err(problem)?;
        let mut challenge = PasskeyChallenge::from(started.challenge);
        if is_token {
            challenge.ceremony_token = Some(started.ceremony_token.expose().clone());
            return Ok(Response::new(Json(challenge)));
        }
        let config = &state.kernel.config;
        let (name, age) = (cookies::passkey_name(&config.http), config.passkey.ceremony_seconds);
        let line = cookies::write(&config.http, name, started.ceremony_token.expose(), age, SameSite::Strict);
        Ok(Response::new(Json(challenge)).header("Set-Cookie", line))
    }

    /// Finish a sign-in with a passkey
    ///
    /// Works from the client that began: with its cookie, or with the `ceremony_token` that it was given. The
    /// authenticator verified its user, so no second step follows. A challenge takes one answer, right or wrong.
    #[oai(path = "/finish", method = "post", operation_id = "finishPasskeyLogin")]
    async fn finish(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        request: &Request,
        body: Json<FinishPasskeyLoginRequest>,
    ) -> poem::Result<Reply> {
        let Json(body) = body;
        let claim = AnonymousClaim::of(body.project_token, body.anonymous_distinct_id);
        let FinishPasskeyLoginRequest { ceremony_id, ceremony_token, credential, .. } = body;
        let ceremony_token = ceremony_token.map(Redacted::new).or_else(|| ceremony_cookie(&state, request));
        let ceremony_token =
            ceremony_token.ok_or_else(|| problem(LoginError::Passkey(PasskeyError::CeremonyNotFound)))?;
        let answer = LoginAnswer { ceremony_id: CeremonyId(ceremony_id), ceremony_token, credential: credential.0 };
        let context = Context { claim, ..context(&state, request).await };
        let outcome = login::finish_passkey(&state.kernel, &client, answer, &context).await.map_err(problem)?;
        Ok(reply(&state.kernel.config, outcome))
    }
}

/// The token that this browser has from an earlier challenge; nothing that this server would not have made.
fn ceremony_cookie(state: &AppState, request: &Request) -> Option<Redacted<String>> {
    let (prefix, length) = CEREMONY_TOKEN;
    let token = cookies::read(request.headers(), cookies::passkey_name(&state.kernel.config.http))?;
    (token.len() == length && token.starts_with(prefix)).then(|| Redacted::new(token))
}

/// Operations on the passkeys of the signed-in user.
pub struct PasskeysApi;

#[OpenApi(prefix_path = "/api/users/@me/passkeys", tag = "Tag::Passkeys")]
impl PasskeysApi {
    /// List passkeys
    ///
    /// Lists the passkeys of the signed-in user, newest first.
    #[oai(path = "/", method = "get", operation_id = "listPasskeys")]
    async fn list(
        &self,
        state: Data<&AppState>,
        session: Session,
        /// How many at most, 1 to 200.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> poem::Result<Json<PasskeyPage>> {
        let before = paging::position(cursor.0.as_deref())?;
        let rows = passkey::list(state.kernel.db.reader(), session.0.user.id, before, paging::rows_to_read(limit.0));
        let (rows, next_cursor) = paging::cut(rows.await.map_err(problem)?, limit.0, |row| row.id.to_string());
        Ok(Json(PasskeyPage { items: rows.into_iter().map(Passkey::from).collect(), next_cursor }))
    }

    /// Begin to add a passkey
    ///
    /// Gives the challenge for a new passkey. Needs a recent proof of identity, with the second factor where there is one.
    #[oai(path = "/start", method = "post", operation_id = "startPasskey")]
    async fn start(&self, state: Data<&AppState>, session: Session) -> poem::Result<Json<PasskeyChallenge>> {
        let (kernel, principal) = (&state.kernel, &session.0);
        two_factor::require_fresh(kernel, principal).await.map_err(problem)?;
        let started = passkey::start_registration(kernel, &principal.user, principal.session_id.0).await;
        Ok(Json(started.map_err(problem)?.into()))
    }

    /// Add a passkey
    ///
    /// Is called twice: with the answer to the challenge of `startPasskey`, and then with the new passkey's answer to the
    /// `verification` that the first call returned. Only then is the passkey there, and its user told by mail.
    #[oai(path = "/", method = "post", operation_id = "createPasskey")]
    async fn create(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        body: Json<CreatePasskeyRequest>,
    ) -> poem::Result<Json<PasskeyCreation>> {
        let Json(CreatePasskeyRequest { ceremony_id, credential, label }) = body;
        let answer = RegistrationAnswer { ceremony_id: CeremonyId(ceremony_id), credential: credential.0, label };
        let whose = (&session.0.user, session.0.session_id.0);
        let done = passkey::register(&state.kernel, &client, whose, answer).await.map_err(problem)?;
        let (status, verification, passkey) = match done {
            Registered::VerificationRequired(challenge) => ("verification_required", Some(challenge.into()), None),
            Registered::Created(row) => ("created", None, Some((*row).into())),
        };
        Ok(Json(PasskeyCreation { status: status.to_owned(), verification, passkey }))
    }

    /// Rename a passkey
    ///
    /// Changes what the user calls it.
    #[oai(path = "/:passkey_id", method = "patch", operation_id = "updatePasskey")]
    async fn update(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        /// The passkey.
        passkey_id: Path<Uuid>,
        body: Json<UpdatePasskeyRequest>,
    ) -> poem::Result<Json<Passkey>> {
        let (user_id, id) = (session.0.user.id, PasskeyId(passkey_id.0));
        let row = passkey::rename(&state.kernel, &client, user_id, id, &body.label).await.map_err(problem)?;
        Ok(Json(row.into()))
    }

    /// Remove a passkey
    ///
    /// It can no longer sign in; its user is told by mail. Needs a recent proof of identity, with the second factor where
    /// there is one. The last way to sign in and the last second factor cannot be removed.
    #[oai(path = "/:passkey_id", method = "delete", operation_id = "deletePasskey")]
    async fn delete(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        /// The passkey.
        passkey_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        let id = PasskeyId(passkey_id.0);
        two_factor::remove_passkey(&state.kernel, &client, &session.0, id).await.map_err(problem)?;
        Ok(NoContent::Done)
    }
}
