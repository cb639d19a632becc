//! Who makes a request: the session behind its cookie or its bearer token, or the key of a program.
//!
//! ```text
//! Session, InstanceAdmin   a session; a good key is refused with 403, a bad one with 401
//! Caller                   a session, or a key with the scope that the table in `scopes.rs` names for the operation
//! ```
//!
//! A cookie session that writes must also come from our own origin; see [`presented`] for the order in which places are
//! looked at. The check happens in the extractor of each handler, so no route can be reached around it. A credential that
//! is present and bad is refused; it is never treated as none. A session that does not meet an organization's demand for a
//! second factor reaches the operations of [`enforcement::SETUP_OPERATIONS`] only. Routes without such an extractor are
//! public, and listed in `tests/public-operations.txt`.

pub mod cookies;
pub mod enforcement;
pub mod presented;
pub mod scopes;

use poem::{Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use shared::{
    api_keys::{self, KeyPrincipal, Place},
    client::Client,
    fault::{Fault, INTERNAL},
    orgs::{Actor, Scopes},
    secret_keys::{self, SecretPrincipal},
    sessions::{self, Principal, SessionError},
    users::{User, UserId},
};
use uuid::Uuid;

use self::{presented::Presented, scopes::Need};
use crate::{
    middleware::{
        audit_failures::{self, KnownCaller},
        csrf,
        key_trace::KeyUse,
    },
    operations,
    problem::problem,
    problem_kinds::{API_KEY_NOT_ACCEPTED, FORBIDDEN, MISSING_SCOPE, USER_REQUIRED},
    state::AppState,
};

const COOKIE_SCHEME: &str = "session_cookie";
const TOKEN_SCHEME: &str = "session_token";

/// A request with a valid session.
pub struct Session(pub Principal);

/// A request with any credential that acts on users, organizations and projects: a session, or a key with the scope that
/// the operation needs.
///
/// Operations that people do by hand only, such as changing members, take a [`Session`] instead.
pub struct Caller {
    /// Who acts, by which credential, and how far it reaches.
    pub actor: Actor,
    identity: Identity,
}

impl Caller {
    /// The user on whose behalf.
    ///
    /// # Errors
    /// When the credential is a project's and has no user.
    pub fn into_user(self) -> poem::Result<User> {
        match self.identity {
            Identity::Session(principal) => Ok(principal.user),
            Identity::ApiKey(principal) => Ok(principal.user),
            Identity::SecretKey(_) => Err(problem(Fault::of(&USER_REQUIRED))),
        }
    }

    /// The personal API key of the request, if that is its credential.
    #[must_use]
    pub fn api_key(&self) -> Option<&KeyPrincipal> {
        match &self.identity {
            Identity::ApiKey(principal) => Some(principal),
            Identity::Session(_) | Identity::SecretKey(_) => None,
        }
    }
}

/// A request with a valid session of a user who operates this installation.
pub struct InstanceAdmin(pub Principal);

/// What a request proved.
enum Identity {
    Session(Box<Principal>),
    ApiKey(Box<KeyPrincipal>),
    SecretKey(Box<SecretPrincipal>),
}

/// The session of a request that may go without one; a bad credential counts as none here, because the request proves
/// its user by other means.
pub async fn live_session(state: &AppState, request: &Request) -> Option<Principal> {
    session_of(state, request).await.ok()
}

/// The session of a request to a page.
///
/// # Errors
/// When it has none, when that one is not valid or has expired, or when another site makes it.
pub async fn session_of(state: &AppState, request: &Request) -> poem::Result<Principal> {
    let presented = match request.headers().get(header::AUTHORIZATION) {
        Some(value) => presented::in_header(&state.kernel, value)?,
        None => Presented::Nothing,
    };
    session(state, request, &presented).await
}

/// Finds out who makes the request.
async fn identify(state: &AppState, request: &Request, body: &mut RequestBody) -> poem::Result<Identity> {
    match presented::find(&state.kernel, request, body).await? {
        Presented::ApiKey(text, place) => api_key(state, request, (&text, place)).await,
        Presented::SecretKey(text) => {
            let generation = state.sessions.generation(&state.kernel).await.map_err(problem)?;
            let found = Box::pin(secret_keys::authenticate(&state.kernel, &state.keys.secret, generation, &text));
            let principal = found.await.map_err(problem)?;
            remember(request, None, Some(principal.key.id.0));
            Ok(Identity::SecretKey(Box::new(principal)))
        }
        presented @ (Presented::SessionToken(_) | Presented::Nothing) => {
            let principal = session(state, request, &presented).await?;
            remember(request, Some(principal.user.id), None);
            enforcement::admit(request, &principal)?;
            Ok(Identity::Session(Box::new(principal)))
        }
    }
}

fn remember(request: &Request, user_id: Option<UserId>, key_id: Option<Uuid>) {
    KnownCaller::remember(request, audit_failures::Caller { user_id, key_id });
}

async fn api_key(state: &AppState, request: &Request, presented: (&str, Place)) -> poem::Result<Identity> {
    let client = request.data::<Client>().ok_or_else(|| problem(Fault::of(&INTERNAL)))?;
    let caches = (&state.sessions, &state.keys.personal);
    let principal = api_keys::authenticate(&state.kernel, caches, client, presented).await.map_err(problem)?;
    KeyUse::remember(request, principal.key.id);
    remember(request, Some(principal.user.id), Some(principal.key.id.0));
    Ok(Identity::ApiKey(Box::new(principal)))
}

async fn session(state: &AppState, request: &Request, presented: &Presented) -> poem::Result<Principal> {
    let config = &state.kernel.config.http;
    match presented {
        Presented::SessionToken(text) => {
            sessions::authenticate(&state.kernel, &state.sessions, text).await.map_err(problem)
        }
        Presented::ApiKey(..) | Presented::SecretKey(_) => Err(problem(SessionError::Invalid)),
        Presented::Nothing => {
            let name = cookies::session_name(config);
            let session_token = cookies::read(request.headers(), name).ok_or_else(|| problem(SessionError::Invalid))?;
            let principal =
                sessions::authenticate(&state.kernel, &state.sessions, &session_token).await.map_err(problem)?;
            let origin = config.origin();
            if csrf::is_write(request.method()) && !csrf::is_same_origin(request.headers(), &origin) {
                return Err(csrf::rejected(&origin));
            }
            Ok(principal)
        }
    }
}

/// The session of a request to an operation that accepts nothing else.
async fn only_session(request: &Request, body: &mut RequestBody) -> poem::Result<Principal> {
    match identify(state_of(request)?, request, body).await? {
        Identity::Session(principal) => Ok(*principal),
        Identity::ApiKey(_) | Identity::SecretKey(_) => Err(not_accepted(request)),
    }
}

fn not_accepted(request: &Request) -> poem::Error {
    let id = operation_id(request).unwrap_or("this operation");
    problem(Fault::of(&API_KEY_NOT_ACCEPTED).detail(format!("`{id}` has no scope and does not accept keys.")))
}

fn operation_id(request: &Request) -> Option<&str> {
    operations::known().id(request.method().as_str(), request.uri().path())
}

/// Demands that a key has what the operation needs; sessions need nothing.
fn authorize(request: &Request, identity: &Identity) -> poem::Result<()> {
    let (granted, is_project) = match identity {
        Identity::Session(_) => return Ok(()),
        Identity::ApiKey(principal) => (&principal.key.scopes, false),
        Identity::SecretKey(principal) => (&principal.key.scopes, true),
    };
    let need = operation_id(request).and_then(scopes::of).ok_or_else(|| not_accepted(request))?;
    if is_project && !scopes::is_for_projects(need) {
        return Err(problem(Fault::of(&USER_REQUIRED)));
    }
    match need {
        Need::Scope(scope) if !Scopes::satisfy(granted, scope) => {
            Err(problem(Fault::of(&MISSING_SCOPE).detail(format!("The key lacks the scope `{scope}`."))))
        }
        Need::AnyKey | Need::Scope(_) => Ok(()),
    }
}

/// The state that the application puts into every request.
///
/// # Errors
/// Never within [`crate::app`].
pub fn state_of(request: &Request) -> poem::Result<&AppState> {
    request.data::<AppState>().ok_or_else(|| problem(Fault::of(&INTERNAL)))
}

fn register_schemes(registry: &mut Registry) {
    let scheme = |ty, name, key_in, scheme, description| MetaSecurityScheme {
        ty,
        description: Some(description),
        name,
        key_in,
        scheme,
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    };
    registry.create_security_scheme(
        COOKIE_SCHEME,
        scheme(
            "apiKey",
            Some("__Host-gatepost_session"),
            Some("cookie"),
            None,
            "The session cookie that signing in sets. Writes must come from the origin of this installation. Its name has no `__Host-` where the installation is reached by http.",
        ),
    );
    registry.create_security_scheme(
        TOKEN_SCHEME,
        scheme(
            "http",
            None,
            None,
            Some("bearer"),
            "The session token that signing in with `session_transport: token` returns.",
        ),
    );
}

/// Makes a type an extractor that the document describes by the two ways to carry a session. `scopes` adds keys to the
/// operations that accept them.
macro_rules! extractor {
    ($type:ty, $read:path) => {
        impl<'a> ApiExtractor<'a> for $type {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                register_schemes(registry);
            }

            fn security_schemes() -> Vec<&'static str> {
                vec![COOKIE_SCHEME, TOKEN_SCHEME]
            }

            async fn from_request(
                request: &'a Request,
                body: &mut RequestBody,
                _options: ExtractParamOptions<()>,
            ) -> poem::Result<Self> {
                $read(request, body).await
            }
        }
    };
}

extractor!(Session, by_session);
extractor!(Caller, by_anyone);
extractor!(InstanceAdmin, by_instance_admin);

async fn by_session(request: &Request, body: &mut RequestBody) -> poem::Result<Session> {
    only_session(request, body).await.map(Session)
}

async fn by_anyone(request: &Request, body: &mut RequestBody) -> poem::Result<Caller> {
    let identity = identify(state_of(request)?, request, body).await?;
    authorize(request, &identity)?;
    let actor = match &identity {
        Identity::Session(principal) => principal.actor(),
        Identity::ApiKey(principal) => principal.actor.clone(),
        Identity::SecretKey(principal) => principal.actor(),
    };
    Ok(Caller { actor, identity })
}

async fn by_instance_admin(request: &Request, body: &mut RequestBody) -> poem::Result<InstanceAdmin> {
    let principal = only_session(request, body).await?;
    if principal.user.is_instance_admin { Ok(InstanceAdmin(principal)) } else { Err(problem(Fault::of(&FORBIDDEN))) }
}
