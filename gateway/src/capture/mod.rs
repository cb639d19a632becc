//! The routes that analytics clients speak, as they are out there: outside of `/api`, with rules of their own.
//!
//! ```text
//! /e /i/v0/e /capture /track /engage    events                      POST, GET with ?data=
//! /batch                                events, up to 20 MB         POST
//! /flags /decide                        no flags                    POST
//! /array/{project_token}/config(.js)    how clients behave          GET, kept for a minute
//! /s                                    no recordings               POST
//! /static/…                             404                         GET
//! ```
//!
//! Every answer can be read by pages of every origin, errors and preflights included: a browser takes an answer that it
//! may not read for a lost network, and sends everything again. Cookies are taken off the request before anything looks
//! at it, and none is set: these routes cannot know who is signed in. No answer allows credentials, with one exception
//! for clients of old that send them with everything, see `sends_credentials`. A success is exactly 200, because some
//! clients repeat what got 202 or 204; what is not durable is 503 and never 429, because browsers give up what got a 4xx.
//! Errors are problems, whose `detail` the clients show.

mod events;
mod fixed;

use std::{future::Future, time::Duration};

use futures_util::{FutureExt, TryFutureExt, future::Either};
use poem::{
    Endpoint, EndpointExt, IntoResponse, Middleware, Request, Response, Result,
    endpoint::{BoxEndpoint, make},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};
use serde_json::Value;
use shared::fault::Fault;

use crate::{
    middleware::{edge, panic::CatchPanic, request_id, timeout::Timeout},
    problem::problem,
    problem_kinds::{METHOD_NOT_ALLOWED, NOT_FOUND},
};

/// What the API document says about these routes.
const DOCUMENT: &str = include_str!("operations.json");

/// Addresses of these routes that the document does not list, with their methods.
pub const OTHER_ADDRESSES: &[(&str, &[&str])] = &[
    ("/i/v0/e", &["GET", "POST"]),
    ("/capture", &["GET", "POST"]),
    ("/track", &["GET", "POST"]),
    ("/engage", &["GET", "POST"]),
    ("/static", &["GET"]),
];

/// What is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    Events { may_lack_names: bool },
    Batch,
    Flags,
    Decide,
    Config(&'a str),
    ConfigScript(&'a str),
    Recordings,
    Nothing,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/e" | "/i/v0/e" | "/capture" | "/track" => return Some(Self::Events { may_lack_names: false }),
            "/engage" => return Some(Self::Events { may_lack_names: true }),
            "/batch" => return Some(Self::Batch),
            "/flags" => return Some(Self::Flags),
            "/decide" => return Some(Self::Decide),
            "/s" => return Some(Self::Recordings),
            "/static" => return Some(Self::Nothing),
            _ => {}
        }
        if path.starts_with("/static/") {
            return Some(Self::Nothing);
        }
        match path.strip_prefix("/array/")?.split_once('/') {
            Some((token, "config")) => Some(Self::Config(token)),
            Some((token, "config.js")) => Some(Self::ConfigScript(token)),
            _ => Some(Self::Nothing),
        }
    }

    /// The methods beside OPTIONS.
    fn methods(self) -> &'static str {
        match self {
            Self::Events { .. } => "GET, POST",
            Self::Batch | Self::Flags | Self::Decide | Self::Recordings => "POST",
            Self::Config(_) | Self::ConfigScript(_) | Self::Nothing => "GET, HEAD",
        }
    }
}

/// Answers the routes of this module, and leaves all others to what it is put around.
#[derive(Clone, Copy, Debug)]
pub struct Mount {
    /// How long a request may take.
    pub patience: Duration,
}

impl<E: Endpoint> Middleware<E> for Mount {
    type Output = MountEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        MountEndpoint { inner, routes: make(dispatch).with(Timeout(self.patience)).with(CatchPanic).boxed() }
    }
}

/// The endpoint of [`Mount`].
pub struct MountEndpoint<E> {
    inner: E,
    routes: BoxEndpoint<'static, Response>,
}

impl<E: Endpoint> Endpoint for MountEndpoint<E> {
    type Output = Response;

    fn call(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        match Route::of(request.uri().path()).map(Route::methods) {
            Some(methods) => Either::Left(Box::pin(self.answer(request, methods)).map(Ok)),
            None => Either::Right(self.inner.call(request).map_ok(IntoResponse::into_response)),
        }
    }
}

impl<E> MountEndpoint<E> {
    async fn answer(&self, mut request: Request, methods: &'static str) -> Response {
        request.headers_mut().remove(header::COOKIE);
        let request_id = request_id::of(&request);
        let origin = request.headers().get(header::ORIGIN).cloned();
        let is_credentialed = origin.is_some() && sends_credentials(request.uri().query().unwrap_or_default());
        let mut response = if request.method() == Method::OPTIONS {
            preflight(request.headers(), methods)
        } else {
            self.routes.call(request).await.unwrap_or_else(|error| {
                let rejection = edge::rejection_of(error);
                rejection.log(request_id);
                let mut response = rejection.response(request_id);
                if response.status() == StatusCode::METHOD_NOT_ALLOWED {
                    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
                }
                response
            })
        };
        open(response.headers_mut(), origin);
        if is_credentialed {
            let allowed = HeaderValue::from_static("true");
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, allowed);
        }
        response
    }
}

/// Whether a browser client is one of those, up to 1.2xx, that send every request with credentials. Their browser hides
/// an answer that does not allow these, and does not send the events at all after such a preflight. They name their
/// version in the query, even of a preflight; later ones do not. The cookies that come along were taken off already.
fn sends_credentials(query: &str) -> bool {
    query.split('&').any(|pair| pair.starts_with("ver="))
}

/// Lets pages of every origin read an answer.
fn open(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.unwrap_or(HeaderValue::from_static("*")));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(policy, HeaderValue::from_static("cross-origin"));
}

fn preflight(asked: &HeaderMap, methods: &'static str) -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        headers.append(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    }
    response
}

async fn dispatch(request: Request) -> Result<Response> {
    let uri = request.uri().clone();
    let route = Route::of(uri.path()).ok_or_else(|| problem(Fault::of(&NOT_FOUND)))?;
    let is_post = request.method() == Method::POST;
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    match route {
        Route::Events { may_lack_names } if is_post || is_get => events::take(request, may_lack_names, false).await,
        Route::Batch if is_post => events::take(request, false, true).await,
        Route::Flags if is_post => Ok(fixed::flags(request).await),
        Route::Decide if is_post => Ok(fixed::decide(request).await),
        Route::Recordings if is_post => Ok(fixed::no_recordings(request).await),
        Route::Config(token) if is_get => fixed::config(token),
        Route::ConfigScript(token) if is_get => fixed::config_script(token),
        Route::Nothing if is_get => Err(problem(Fault::of(&NOT_FOUND))),
        Route::Events { .. }
        | Route::Batch
        | Route::Flags
        | Route::Decide
        | Route::Recordings
        | Route::Config(_)
        | Route::ConfigScript(_)
        | Route::Nothing => Err(problem(Fault::of(&METHOD_NOT_ALLOWED))),
    }
}

/// Adds these routes to the raw API document.
///
/// # Errors
/// When what is written about them is no JSON; a test reads it.
pub fn describe(document: &mut Value) -> Result<(), serde_json::Error> {
    let described: Value = serde_json::from_str(DOCUMENT)?;
    for pointer in ["/paths", "/components/schemas"] {
        if let (Some(Value::Object(all)), Some(Value::Object(more))) =
            (document.pointer_mut(pointer), described.pointer(pointer))
        {
            all.extend(more.clone());
        }
    }
    if let (Some(Value::Array(tags)), Some(Value::Array(more))) =
        (document.pointer_mut("/tags"), described.pointer("/tags"))
    {
        tags.extend(more.iter().cloned());
    }
    Ok(())
}
