//! The pages that mailed links lead to, and those of signing in and out: server-rendered, without scripts.
//!
//! ```text
//! GET  ?token=…   a button; nothing happens yet, because mail scanners follow links
//! POST            from this page only (middleware::csrf) ─► one call of a flow ─► a page that says what happened
//!
//! GET /api/login/sso/google ─► the provider ─► /api/complete/google ─► next, or /login?error_code=…
//!
//! GET /account ── no session ─► /login?next=/account ─► /login/email | /login/two_factor ─► /account
//!              └─ a session ──► who is signed in, and a button ─► /account/sign_out ─► /login
//! ```
//!
//! The pages hold no state and decide nothing: each is a form in front of the flow that the API calls too.

mod account;
mod gate;
mod invite;
mod login_email;
mod login_password;
pub(crate) mod login_social;
mod login_two_factor;
pub(crate) mod next;
mod not_me;
pub mod render;
mod reset;
mod two_factor_reset;
mod verify_email;

use poem::{
    FromRequest, IntoResponse, Request, Response, Result, Route, RouteMethod,
    endpoint::make_sync,
    error::{GetDataError, ResponseError},
    get,
    http::{HeaderValue, StatusCode, header},
    web::Form,
};
use serde::de::DeserializeOwned;
use shared::{
    client::Client,
    fault::{Fault, INTERNAL},
};

use crate::{
    middleware::request_id,
    problem::{Rejection, problem},
    state::AppState,
};

/// The addresses of the pages that a mailed token authorises.
pub const PATHS: &[&str] = &["/invite", "/login/not_me", "/reset", "/two_factor_reset", "/verify_email"];

/// The addresses of the pages that give, need or take away a cookie.
pub const SIGN_IN_PATHS: &[&str] = &["/account/sign_out", "/login", "/login/email", "/login/two_factor"];

const STYLESHEET: &str = include_str!("../../assets/gatepost.css");

/// Adds the pages to the routes.
#[must_use]
pub fn routes(routes: Route, state: &AppState) -> Route {
    routes
        .at("/", account::home())
        .at("/account", account::routes(state))
        .at("/account/sign_out", account::sign_out_routes(state))
        .at("/invite", invite::routes(state))
        .at("/login", login_password::routes(state))
        .at("/login/email", login_email::routes(state))
        .at("/api/login/sso/:provider", login_social::start_routes(state))
        .at("/api/complete/:provider", login_social::complete_routes(state))
        .at("/login/two_factor", login_two_factor::routes(state))
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

/// Sends the browser on, with GET whatever it came with (RFC 9110, section 15.4.4).
fn see_other(address: &str) -> Result<Response> {
    let address = HeaderValue::from_str(address).map_err(|error| problem(Fault::of(&INTERNAL).source(error)))?;
    Ok(StatusCode::SEE_OTHER.with_header(header::LOCATION, address).into_response())
}

/// Adds `Set-Cookie` lines.
fn set_cookies(response: &mut Response, lines: &[String]) {
    for value in lines.iter().filter_map(|line| HeaderValue::from_str(line).ok()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Lets a browser that knows no `Sec-Fetch-Site`, or that reaches us without TLS, say where the form of this page comes
/// from. Other sites still learn nothing, and no token is in the addresses of the pages that use this.
fn naming_its_origin(mut page: Response) -> Response {
    page.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    page
}

/// What the user is told on the form that comes back, unless the failure is ours: that is a page of its own.
fn refusal(request: &Request, error: impl Into<Fault>) -> Result<(Rejection, Vec<String>)> {
    let rejection = Rejection::from(error.into());
    if rejection.status() == StatusCode::INTERNAL_SERVER_ERROR {
        return Err(rejection.into());
    }
    rejection.log(request_id::of(request));
    let document = rejection.document(None);
    let mut texts = match (document.errors, document.detail) {
        (Some(fields), _) => fields.into_iter().map(|field| field.detail).collect(),
        (None, Some(detail)) => vec![detail],
        (None, None) => vec![format!("{}.", document.title.trim_end_matches('.'))],
    };
    if let (Some(seconds), None) = (document.retry_after_seconds, &rejection.fault.detail) {
        texts.push(format!("Try again in {seconds} seconds."));
    }
    Ok((rejection, texts))
}
