//! `/reset`: asking for a link, and setting a new password with it.
//!
//! A password that is not accepted leaves the link good, so the form comes back with the reasons.

use minijinja::context;
use poem::{Request, Response, Result, RouteMethod, endpoint::make, get, http::StatusCode};
use serde::Deserialize;
use shared::{
    fault::Fault,
    recovery::{self, RecoveryError},
};

use super::{parameter, render, submitted};
use crate::{problem::problem, state::AppState};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Submitted {
    email: String,
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
    let Some(token) = parameter(request, "token") else {
        return render::page("reset.html", context! { title => "Reset your password" });
    };
    recovery::validate(&state.kernel, &token).await.map_err(problem)?;
    password_form(state, StatusCode::OK, &token, Vec::new())
}

async fn act(state: &AppState, request: Request) -> Result<Response> {
    let (request, form) = submitted::<Submitted>(request).await?;
    let client = super::client(&request)?;
    if form.token.is_empty() {
        recovery::request(&state.kernel, client, &form.email).await.map_err(problem)?;
        let text = "If the address belongs to an account, a link to set a new password is on its way. \
                    It is good for a limited time, and only the newest one works.";
        return render::message("Look into your mailbox", text);
    }
    match recovery::complete(&state.kernel, &state.hasher, client, &form.token, &form.password).await {
        Ok(()) => {
            let text = "All sessions of your account have ended. Sign in with the new password.";
            render::message("Your new password is set", text)
        }
        Err(RecoveryError::Password(refused)) => again(state, &form.token, refused.into()),
        Err(error) => Err(problem(error)),
    }
}

/// The form again, when the password broke a rule; any other fault is a problem of its own.
fn again(state: &AppState, token: &str, fault: Fault) -> Result<Response> {
    if fault.errors.is_empty() {
        return Err(problem(fault));
    }
    let reasons = fault.errors.into_iter().map(|field| field.detail).collect();
    password_form(state, StatusCode::UNPROCESSABLE_ENTITY, token, reasons)
}

fn password_form(state: &AppState, status: StatusCode, token: &str, errors: Vec<String>) -> Result<Response> {
    let max_bytes = state.kernel.config.password.max_bytes;
    let values = context! { title => "Set a new password", token, errors, max_bytes };
    render::page_with(status, "reset_password.html", values)
}
