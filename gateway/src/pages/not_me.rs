//! `/login/not_me`: a button behind the link in the notice of a new device, which ends everything that the user holds.

use minijinja::context;
use poem::{Request, Response, Result, RouteMethod, endpoint::make, get};
use serde::Deserialize;
use shared::devices;

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
    render::page("not_me.html", context! { title => "It was not you?", token })
}

async fn act(state: &AppState, request: Request) -> Result<Response> {
    let (request, form) = submitted::<Submitted>(request).await?;
    let client = super::client(&request)?;
    devices::disown(&state.kernel, client, &form.token).await.map_err(problem)?;
    render::page("not_me_done.html", context! { title => "All sessions have ended" })
}
