//! Answers that are the same for everybody: Gatepost evaluates no flags, records no screens and serves no extensions,
//! and tells clients so, that they do not ask for it.

use poem::{
    Body, Request, Response, Result,
    http::{HeaderValue, header},
};
use serde_json::{Value, json};
use shared::{fault::Fault, ids};

use crate::{AppState, middleware::limits, problem::problem, problem_kinds::NOT_FOUND};

/// How long clients and proxies may keep a configuration.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// `POST /flags`: none.
pub async fn flags(mut request: Request) -> Response {
    limits::drain(request.take_body()).await;
    let now = request.data::<AppState>().map_or(0, |state| state.kernel.clock.now().0 / 1_000);
    answer(&json!({
        "flags": {},
        "errorsWhileComputingFlags": false,
        "requestId": ids::next(),
        "evaluatedAt": now,
    }))
}

/// `POST /decide`: what older clients ask in place of both flags and configuration.
pub async fn decide(mut request: Request) -> Response {
    limits::drain(request.take_body()).await;
    let mut all = behaviour();
    if let Value::Object(all) = &mut all {
        all.insert("featureFlags".to_owned(), json!({}));
        all.insert("featureFlagPayloads".to_owned(), json!({}));
        all.insert("errorsWhileComputingFlags".to_owned(), json!(false));
    }
    answer(&all)
}

/// `POST /s`: recordings are not taken, and the client is to stop.
pub async fn no_recordings(mut request: Request) -> Response {
    limits::drain(request.take_body()).await;
    answer(&json!({ "status": 1, "quota_limited": ["recordings"] }))
}

/// `GET /array/{project_token}/config`.
pub fn config(token: &str) -> Result<Response> {
    let mut response = answer(&config_of(checked(token)?));
    response.headers_mut().insert(header::CACHE_CONTROL, KEPT);
    Ok(response)
}

/// `GET /array/{project_token}/config.js`.
pub fn config_script(token: &str) -> Result<Response> {
    let token = checked(token)?;
    // A JSON string is one of JavaScript as well; the characters of a token are harmless beyond that.
    let (name, config) = (json!(token), config_of(token));
    let script = format!(
        "(function(){{window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{{}};\
         window._POSTHOG_REMOTE_CONFIG[{name}]={{config:{config},siteApps:[]}}}})();"
    );
    let kind = "application/javascript; charset=utf-8";
    Ok(Response::builder().content_type(kind).header(header::CACHE_CONTROL, KEPT).body(Body::from(script)))
}

/// A token that may stand in a script: whether a project has it makes no difference here.
fn checked(token: &str) -> Result<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_fine = (1..=64).contains(&token.len()) && token.bytes().all(is_plain);
    if is_fine { Ok(token) } else { Err(problem(Fault::of(&NOT_FOUND))) }
}

fn config_of(token: &str) -> Value {
    let mut config = behaviour();
    if let Value::Object(config) = &mut config {
        config.insert("token".to_owned(), json!(token));
    }
    config
}

/// How clients behave: nothing but events, of people who are not identified without a person.
fn behaviour() -> Value {
    json!({
        "supportedCompression": ["gzip", "gzip-js"],
        "hasFeatureFlags": false,
        "analytics": { "endpoint": "/e/" },
        "autocapture_opt_out": true,
        "autocaptureExceptions": false,
        "captureDeadClicks": false,
        "capturePerformance": false,
        "elementsChainAsString": true,
        "sessionRecording": false,
        "heatmaps": false,
        "surveys": false,
        "defaultIdentifiedOnly": true,
        "siteApps": [],
        "isAuthenticated": false,
        "toolbarParams": {},
    })
}

fn answer(body: &Value) -> Response {
    Response::builder().content_type("application/json").body(body.to_string())
}
