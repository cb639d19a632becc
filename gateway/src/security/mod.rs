//! Who makes a request: the session behind its cookie or its bearer token.
//!
//! ```text
//! Authorization: Bearer gpst_…   a bearer session       no cookie is looked at
//! Cookie: gatepost_session=…     a cookie session       a write must also come from our own origin
//! ```
//!
//! The check happens in the extractor of each handler, so no route can be reached around it. A credential that is present
//! and bad is refused; it is never treated as none. Routes without such an extractor are public, and listed in
//! `tests/public-operations.txt`.

pub mod cookies;

use poem::{Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use shared::{
    fault::{Fault, INTERNAL},
    orgs::Actor,
    sessions::{self, Principal, SessionError},
};

use crate::{middleware::csrf, problem::problem, problem_kinds::FORBIDDEN, state::AppState};

const COOKIE_SCHEME: &str = "session_cookie";
const TOKEN_SCHEME: &str = "session_token";

/// A request with a valid session.
pub struct Session(pub Principal);

/// A request with any credential that acts on organizations and projects. Today that is a session.
///
/// Operations that people do by hand only, such as changing members, take a [`Session`] instead.
pub struct Caller {
    /// Who acts, by which credential, and how far it reaches.
    pub actor: Actor,
}

/// A request with a valid session of a user who operates this installation.
pub struct InstanceAdmin(pub Principal);

/// The session of a request that may go without one; a bad credential counts as none here, because the request proves
/// its user by other means.
pub async fn live_session(state: &AppState, request: &Request) -> Option<Principal> {
    authenticate(state, request).await.ok()
}

async fn authenticate(state: &AppState, request: &Request) -> poem::Result<Principal> {
    let config = &state.kernel.config.http;
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        let invalid = || problem(SessionError::Invalid);
        let (scheme, credential) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(invalid)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(invalid());
        }
        return sessions::authenticate(&state.kernel, &state.sessions, credential.trim()).await.map_err(problem);
    }
    let name = cookies::session_name(config);
    let session_token = cookies::read(request.headers(), name).ok_or_else(|| problem(SessionError::Invalid))?;
    let principal = sessions::authenticate(&state.kernel, &state.sessions, &session_token).await.map_err(problem)?;
    let origin = config.origin();
    if csrf::is_write(request.method()) && !csrf::is_same_origin(request.headers(), &origin) {
        return Err(csrf::rejected(&origin));
    }
    Ok(principal)
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

impl<'a> ApiExtractor<'a> for Session {
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
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        authenticate(state_of(request)?, request).await.map(Self)
    }
}

impl<'a> ApiExtractor<'a> for Caller {
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
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let principal = authenticate(state_of(request)?, request).await?;
        Ok(Self { actor: principal.actor() })
    }
}

impl<'a> ApiExtractor<'a> for InstanceAdmin {
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
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let principal = authenticate(state_of(request)?, request).await?;
        if principal.user.is_instance_admin { Ok(Self(principal)) } else { Err(problem(Fault::of(&FORBIDDEN))) }
    }
}
