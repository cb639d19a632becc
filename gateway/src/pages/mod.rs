//! The pages that mailed links lead to: server-rendered, without scripts.
//!
//! ```text
//! GET  ?token=…   a button; nothing happens yet, because mail scanners follow links
//! POST            from this page only (middleware::csrf) ─► one call of a flow ─► a page that says what happened
//! ```
//!
//! The pages hold no state and decide nothing: each is a form in front of the flow that the API calls too.

mod invite;
mod login_email;
mod not_me;
pub mod render;
mod reset;
mod two_factor_reset;
mod verify_email;

use poem::{
    FromRequest, Request, Response, Result, Route, RouteMethod, endpoint::make_sync, error::GetDataError, get,
    web::Form,
};
use serde::de::DeserializeOwned;
use shared::client::Client;

use crate::state::AppState;

/// The addresses of the pages.
pub const PATHS: &[&str] =
    &["/invite", "/login/email", "/login/not_me", "/reset", "/two_factor_reset", "/verify_email"];

const STYLESHEET: &str = include_str!("../../assets/gatepost.css");

/// Adds the pages to the routes.
#[must_use]
pub fn routes(routes: Route, state: &AppState) -> Route {
    routes
        .at("/invite", invite::routes(state))
        .at("/login/email", login_email::routes(state))
        .at("/login/not_me", not_me::routes(state))
        .at("/reset", reset::routes(state))
        .at("/two_factor_reset", two_factor_reset::routes(state))
        .at("/verify_email", verify_email::routes(state))
        .at("/assets/gatepost.css", stylesheet())
}

fn stylesheet() -> RouteMethod {
    get(make_sync(|_| {
        Response::builder()
            .content_type("text/css; charset=utf-8")
            .header("cache-control", "public, max-age=3600")
            .body(STYLESHEET)
    }))
}

/// What a form of one of the pages sent, and the rest of its request.
async fn submitted<T: DeserializeOwned + Send>(request: Request) -> Result<(Request, T)> {
    let (request, mut body) = request.split();
    let Form(form) = Form::<T>::from_request(&request, &mut body).await?;
    Ok((request, form))
}

/// The first parameter with this name in the query.
fn parameter(request: &Request, name: &str) -> Option<String> {
    let query: Vec<(String, String)> = request.params().unwrap_or_default();
    query.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn client(request: &Request) -> Result<&Client> {
    request.data::<Client>().ok_or_else(|| GetDataError("Client").into())
}
