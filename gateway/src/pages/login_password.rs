//! `/login`: the first step of a login, with the address and the password.
//!
//! ```text
//! signed in already ─► next          session ─► next          a mailed code ─► /login/email
//! refused ─► the form, with the address and the reason        a second factor ─► /login/two_factor
//! ```

use minijinja::context;
use poem::{Request, Response, Result, RouteMethod, endpoint::make, error::ResponseError, get, http::StatusCode};
use serde::Deserialize;
use shared::{
    login::{self, Attempt, LoginId, Outcome, SignedIn},
    secret::Redacted,
    sessions::Transport,
};

use super::{
    gate, login_social, naming_its_origin, next::Next, parameter, refusal, render, see_other, set_cookies, submitted,
};
use crate::{
    api,
    security::{self, cookies},
    state::AppState,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Submitted {
    email: String,
    password: Redacted<String>,
    next: String,
}

/// What the form shows.
#[derive(Default)]
struct Shown<'a> {
    email: &'a str,
    errors: Vec<String>,
    is_expired: bool,
}

pub(super) fn routes(state: &AppState) -> RouteMethod {
    let (show_state, act_state) = (state.clone(), state.clone());
    get(make(move |request| {
        let state = show_state.clone();
        async move { show(&state, &request).await }
    }))
    .post(make(move |request| {
        let state = act_state.clone();
        async move { act(&state, request).await }
    }))
}

async fn show(state: &AppState, request: &Request) -> Result<Response> {
    let next = Next::read(&parameter(request, "next").unwrap_or_default());
    let errors = login_social::told(request);
    if errors.is_empty() && security::live_session(state, request).await.is_some() {
        return see_other(next.as_str());
    }
    let is_expired = parameter(request, "reason").as_deref() == Some(gate::EXPIRED);
    form(state, StatusCode::OK, &next, Shown { errors, is_expired, ..Shown::default() })
}

async fn act(state: &AppState, request: Request) -> Result<Response> {
    let (request, sent) = submitted::<Submitted>(request).await?;
    let next = Next::read(&sent.next);
    let client = super::client(&request)?;
    let attempt = Attempt {
        email: sent.email.clone(),
        password: sent.password,
        transport: Transport::Cookie,
        break_glass_code: None,
    };
    let context = api::login::context(state, &request).await;
    match login::start(&state.kernel, &state.hasher, client, attempt, &context).await {
        Ok(outcome) => go_on(state, outcome, &next),
        Err(error) => {
            let (rejection, errors) = refusal(&request, error)?;
            let shown = Shown { email: &sent.email, errors, is_expired: false };
            let mut page = form(state, rejection.status(), &next, shown)?;
            rejection.decorate(&mut page);
            Ok(page)
        }
    }
}

/// What comes after the first step of a login by these pages.
pub(super) fn go_on(state: &AppState, outcome: Outcome, next: &Next) -> Result<Response> {
    let config = &state.kernel.config;
    match outcome {
        Outcome::SignedIn(signed_in) => arrive(state, &signed_in, next),
        Outcome::TwoFactorRequired(step) => {
            let validity = config.login.two_factor_seconds;
            wait(state, ("/login/two_factor", step.login_id), (&step.login_token, validity), next)
        }
        Outcome::EmailMfaRequired(step) => {
            let validity = config.email_mfa.validity_seconds;
            wait(state, ("/login/email", step.login_id), (&step.login_token, validity), next)
        }
        Outcome::EmailVerificationRequired => {
            let text = "Your e-mail address is not confirmed yet. Open the link of the mail that is on its way, and sign in afterwards.";
            render::message("Look into your mailbox", text)
        }
    }
}

/// The page of the next step, with the cookie that binds the pending login to this browser.
fn wait(
    state: &AppState,
    (page, login_id): (&str, LoginId),
    (login_token, validity_seconds): (&Redacted<String>, u64),
    next: &Next,
) -> Result<Response> {
    let mut response = see_other(&next.through(page, &[("login_id", &login_id.to_string())]))?;
    let cookie = cookies::pending_login(&state.kernel.config.http, login_token.expose(), validity_seconds);
    set_cookies(&mut response, &[cookie]);
    Ok(response)
}

/// The end of every login by these pages.
pub(super) fn arrive(state: &AppState, signed_in: &SignedIn, next: &Next) -> Result<Response> {
    let mut response = see_other(next.as_str())?;
    set_cookies(&mut response, &cookies::signed_in(&state.kernel.config, signed_in));
    Ok(response)
}

fn form(state: &AppState, status: StatusCode, next: &Next, shown: Shown<'_>) -> Result<Response> {
    let Shown { email, errors, is_expired } = shown;
    let config = &state.kernel.config;
    let (max_bytes, providers) = (config.password.max_bytes, login_social::buttons(config, next));
    let values =
        context! { title => "Sign in", next => next.as_str(), email, errors, is_expired, max_bytes, providers };
    render::page_with(status, "login.html", values).map(naming_its_origin)
}
