//! `/two_factor_reset`: the password behind the link with which an administrator lets a user back in.
//!
//! A wrong password leaves the link good, so the form comes back with the reason.

use minijinja::context;
use poem::{Request, Response, Result, RouteMethod, endpoint::make, get, http::StatusCode};
use serde::Deserialize;
use shared::two_factor_reset::{self, TwoFactorResetError};

use super::{parameter, render, submitted};
use crate::{problem::problem, security, state::AppState};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Submitted {
    token: String,
    password: String,
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
    let token = parameter(request, "token").unwrap_or_default();
    two_factor_reset::validate(&state.kernel, &token).await.map_err(problem)?;
    form(state, StatusCode::OK, &token, Vec::new())
}

async fn act(state: &AppState, request: Request) -> Result<Response> {
    let (request, sent) = submitted::<Submitted>(request).await?;
    let client = super::client(&request)?;
    let present = security::live_session(state, &request).await.map(|live| live.user.id);
    let proof = (sent.token.as_str(), sent.password.as_str());
    match two_factor_reset::complete(&state.kernel, &state.hasher, client, present, proof).await {
        Ok(()) => {
            let text = "All sessions of your account have ended. Sign in with your password, and set up a second factor again.";
            render::message("Two-factor authentication was reset", text)
        }
        Err(TwoFactorResetError::IncorrectPassword) => {
            form(state, StatusCode::UNPROCESSABLE_ENTITY, &sent.token, vec!["The password is wrong."])
        }
        Err(error) => Err(problem(error)),
    }
}

fn form(state: &AppState, status: StatusCode, token: &str, errors: Vec<&'static str>) -> Result<Response> {
    let max_bytes = state.kernel.config.password.max_bytes;
    let values = context! { title => "Reset two-factor authentication", token, errors, max_bytes };
    render::page_with(status, "two_factor_reset.html", values)
}
