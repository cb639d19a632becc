//! `/verify_email`: a button behind the mailed link, because a mail scanner presses none.

use minijinja::context;
use poem::{Request, Response, Result, RouteMethod, endpoint::make, get};
use serde::Deserialize;
use shared::email_verification;

use super::{parameter, render, submitted};
use crate::{problem::problem, state::AppState};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Submitted {
    token: String,
}

pub(super) fn routes(state: &AppState) -> RouteMethod {
    let state = state.clone();
    get(make(|request| async move { show(&request) })).post(make(move |request| {
        let state = state.clone();
        async move { act(&state, request).await }
    }))
}

fn show(request: &Request) -> Result<Response> {
    let token = parameter(request, "token").unwrap_or_default();
    render::page("verify_email.html", context! { title => "Confirm your e-mail address", token })
}

async fn act(state: &AppState, request: Request) -> Result<Response> {
    let (request, form) = submitted::<Submitted>(request).await?;
    let client = super::client(&request)?;
    email_verification::confirm_link(&state.kernel, client, &form.token).await.map_err(problem)?;
    render::message("Your e-mail address is confirmed", "You can close this page and sign in.")
}
