//! `/api/login/sso/{provider}` and `/api/complete/{provider}`: to a provider and back, by redirects.
//!
//! ```text
//! start ─► the provider ─► complete ─► next        a second factor ─► /login/two_factor
//!    └── refused ──────────────┴─► /login?error_code=…        a link that was refused ─► /account?error_code=…
//! ```
//!
//! A start does nothing but lead to the provider: the session that the browser has ends when another one is there, and no
//! account is linked that nobody asked to link. Only the user starts it: who is sent by another site comes to the sign-in
//! page. It is a GET, because a form that ends at a provider is what `form-action` of our pages forbids (CSP Level 3, 6.4.1).

use minijinja::{Value, context};
use poem::{Request, Response, Result, RouteMethod, endpoint::make, get};
use shared::{
    config::Config,
    domains::JIT_NOT_ENABLED,
    fault::{Fault, ProblemKind, THROTTLED, UNAVAILABLE},
    login::{self, LoginError, Outcome},
    mail::EMAIL_NOT_AVAILABLE,
    secret::Redacted,
    social::{self, Callback, Pending, SocialError},
    users::UserId,
};

use super::{login_password, next::Next, parameter, refusal, see_other, set_cookies};
use crate::{
    api,
    middleware::csrf,
    problem::problem,
    security::{
        self,
        cookies::{self, SameSite},
    },
    state::AppState,
};

/// Where sign-ins begin.
pub const START: &str = "/api/login/sso/";

/// Where providers send browsers back to.
pub const COMPLETE: &str = "/api/complete/";

/// What ends the code of a domain's demand; the provider that it demands stands before it.
const ENFORCED: &str = "_sso_enforced";

/// What a callback leads to.
enum Arrival {
    Linked,
    Login(Outcome),
}

pub(super) fn start_routes(state: &AppState) -> RouteMethod {
    let state = state.clone();
    get(make(move |request| {
        let state = state.clone();
        async move { start(&state, &request).await }
    }))
}

pub(super) fn complete_routes(state: &AppState) -> RouteMethod {
    let state = state.clone();
    get(make(move |request| {
        let state = state.clone();
        async move { complete(&state, &request).await }
    }))
}

/// Whether one of these pages has this address, which is below that of the API.
pub fn is_ours(path: &str) -> bool {
    path.starts_with(START) || path.starts_with(COMPLETE)
}

/// The buttons of the sign-in page.
pub(super) fn buttons(config: &Config, next: &Next) -> Vec<Value> {
    let button = |provider: social::Named| {
        let address = next.through(&format!("{START}{}", provider.name), &[]);
        context! { name => provider.display_name, address }
    };
    config.social.offered().into_iter().map(button).collect()
}

/// What the code of a refusal says in words; nothing for a code that is none of ours.
pub(super) fn told(request: &Request) -> Vec<String> {
    let Some(code) = parameter(request, "error_code") else { return Vec::new() };
    if code.ends_with(ENFORCED) {
        return vec!["Your organization demands another provider. Sign in with that one.".to_owned()];
    }
    let others: [&ProblemKind; 4] = [&THROTTLED, &UNAVAILABLE, &EMAIL_NOT_AVAILABLE, &JIT_NOT_ENABLED];
    let mut all = social::PROBLEMS.iter().chain(&others);
    all.find(|kind| kind.code == code).map(|kind| format!("{}.", kind.title)).into_iter().collect()
}

async fn start(state: &AppState, request: &Request) -> Result<Response> {
    let (kernel, client) = (&state.kernel, super::client(request)?);
    let next = Next::read(&parameter(request, "next").unwrap_or_default());
    if csrf::is_visibly_foreign(request.headers(), &kernel.config.http.origin()) {
        return see_other(&next.through("/login", &[]));
    }
    let provider = request.raw_path_param("provider").unwrap_or_default();
    let wish = (provider, held(state, request), next.as_str());
    let started = match social::start_login(kernel, &state.providers, client, wish).await {
        Ok(started) => started,
        Err(err) => return refuse(state, request, (provider, None), err.into(), ("/login", &next)).await,
    };
    let mut response = see_other(started.authorization_url.as_str())?;
    set_cookies(&mut response, &[binding(state, &started)]);
    Ok(response)
}

/// What binds sign-ins at providers to this browser already.
pub fn held(state: &AppState, request: &Request) -> Option<String> {
    cookies::read(request.headers(), cookies::social_name(&state.kernel.config.http))
}

/// What binds a sign-in at a provider to this browser.
pub fn binding(state: &AppState, started: &social::Started) -> String {
    let config = &state.kernel.config;
    let (name, age) = (cookies::social_name(&config.http), config.social.validity_seconds);
    cookies::write(&config.http, name, started.browser_token.expose(), age, SameSite::Lax)
}

async fn complete(state: &AppState, request: &Request) -> Result<Response> {
    let callback = Callback {
        provider: request.raw_path_param("provider").unwrap_or_default().to_owned(),
        state: parameter(request, "state").unwrap_or_default(),
        code: parameter(request, "code").filter(|code| !code.is_empty()).map(Redacted::new),
        iss: parameter(request, "iss"),
        browser_token: held(state, request).map(Redacted::new),
    };
    let provider = callback.provider.as_str();
    let pending = match social::take(&state.kernel, &callback).await {
        Ok(pending) => pending,
        Err(err) => return refuse(state, request, (provider, None), err.into(), ("/login", &Next::read(""))).await,
    };
    // It was looked at when the sign-in began.
    let next = Next::read(pending.next());
    let (page, user_id) = if pending.is_link() { ("/account", pending.user_id()) } else { ("/login", None) };
    match arrive(state, request, &pending, &callback).await {
        Ok(Arrival::Linked) => see_other(next.as_str()),
        Ok(Arrival::Login(outcome)) => login_password::go_on(state, outcome, &next),
        Err(err) => refuse(state, request, (provider, user_id), err, (page, &next)).await,
    }
}

async fn arrive(
    state: &AppState,
    request: &Request,
    pending: &Pending,
    callback: &Callback,
) -> Result<Arrival, LoginError> {
    let kernel = &state.kernel;
    let profile = social::identify(kernel, &state.providers, pending, callback).await?;
    let client = super::client(request).map_err(|_| SocialError::InvalidState)?;
    if pending.is_link() {
        let principal = security::live_session(state, request).await.ok_or(SocialError::InvalidState)?;
        social::link(kernel, client, (&principal.user, principal.session_id.0), (pending, &profile)).await?;
        return Ok(Arrival::Linked);
    }
    let context = api::login::context(state, request).await;
    Ok(Arrival::Login(login::finish_social(kernel, client, &profile, &context).await?))
}

/// Back to a page that says why. What is our own failure is a page of its own.
async fn refuse(
    state: &AppState,
    request: &Request,
    (provider, user_id): (&str, Option<UserId>),
    err: LoginError,
    (page, next): (&str, &Next),
) -> Result<Response> {
    let enforced =
        if let LoginError::SsoEnforced(enforced) | LoginError::Social(SocialError::SsoEnforced(enforced)) = &err {
            Some(format!("{}{ENFORCED}", enforced.provider))
        } else {
            None
        };
    let fault: Fault = err.into();
    let code = enforced.unwrap_or_else(|| fault.kind.code.to_owned());
    // As elsewhere, what failed through no fault of the caller and what came too often is not audited.
    if fault.kind.status < 500 && fault.kind != &THROTTLED {
        let failure = social::record_failure(&state.kernel, super::client(request)?, user_id, (provider, &code)).await;
        failure.map_err(problem)?;
    }
    refusal(request, fault)?;
    see_other(&next.through(page, &[("error_code", &code)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_for(code: &str) -> Vec<String> {
        told(&Request::builder().uri(format!("/login?error_code={code}").parse().unwrap()).finish())
    }

    #[test]
    fn every_refusal_is_told_in_words_and_nothing_else_is() {
        for kind in social::PROBLEMS {
            assert_eq!(told_for(kind.code).len(), 1, "{}", kind.code);
        }
        assert_eq!(told_for("okta_sso_enforced").len(), 1);
        assert_eq!(told_for(JIT_NOT_ENABLED.code).len(), 1);
        assert!(told_for("Your%20account%20was%20closed").is_empty() && told_for("").is_empty());
    }
}
