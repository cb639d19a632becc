//! `Idempotency-Key`: a POST that creates or sends something may be sent again, and has its effect once.
//!
//! The operation runs with its last commit held back; the answer joins that transaction, sealed. A repetition gets the
//! answer that is kept; of two at the same time the slower one is rolled back and gets the answer of the other.

use std::sync::Arc;

use poem::{
    Body, Endpoint, IntoResponse, Middleware, Request, Response, Result,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
};
use serde_json::{Value, json};
use shared::{
    client::Client,
    db::Deferral,
    idempotency::{self, Attempt, IdempotencyError, Kept},
};

use crate::{
    operations,
    problem::problem,
    security::{self, cookies, state_of},
};

/// Name of the header.
pub const HEADER: &str = "idempotency-key";
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// First words of ids of operations that create or send something.
const REPEATABLE: [&str; 5] = ["create", "request", "resend", "send", "sign"];

/// Whether an operation accepts the header.
#[must_use]
pub fn is_repeatable(method: &str, operation_id: &str) -> bool {
    let is_next_word = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_uppercase());
    method.eq_ignore_ascii_case("post")
        && REPEATABLE.iter().any(|verb| operation_id.strip_prefix(verb).is_some_and(is_next_word))
}

/// Says in the API document which operations accept the header.
pub fn describe(document: &mut Value) {
    for (_, methods) in document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten() {
        for (method, operation) in methods.as_object_mut().into_iter().flatten() {
            let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
            if !is_repeatable(method, id) {
                continue;
            }
            let Some(operation) = operation.as_object_mut() else { continue };
            let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
            if let Some(parameters) = parameters.as_array_mut() {
                parameters.push(json!({
                    "name": "Idempotency-Key",
                    "in": "header",
                    "required": false,
                    "description": "A key of the client's choice, such as a random UUID. A request with the same key, \
                                    credential and body gets the same answer for a day, and has its effect once.",
                    "schema": { "type": "string", "minLength": 1, "maxLength": 128 },
                }));
            }
        }
    }
}

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub struct Idempotency;

impl<E: Endpoint> Middleware<E> for Idempotency {
    type Output = IdempotencyEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        IdempotencyEndpoint { inner }
    }
}

/// The endpoint of [`Idempotency`].
pub struct IdempotencyEndpoint<E> {
    inner: E,
}

impl<E: Endpoint> Endpoint for IdempotencyEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        match attempt(&mut request).await? {
            // Boxed, so that the room it needs is not made for every request.
            Some(attempt) => Box::pin(self.once(request, attempt)).await,
            None => self.inner.call(request).await.map(IntoResponse::into_response),
        }
    }
}

impl<E: Endpoint> IdempotencyEndpoint<E> {
    /// Answers as before, or does it and keeps the answer in the same transaction.
    async fn once(&self, request: Request, attempt: Attempt) -> Result<Response> {
        let kernel = Arc::clone(&state_of(&request)?.kernel);
        match idempotency::find(&kernel, &attempt).await {
            Ok(Some(kept)) if may_replay(&request).await? => return Ok(replay(kept)),
            // A credential that is no longer good gets the operation's own refusal.
            Ok(_) => {}
            Err(error) => return Err(problem(error)),
        }
        let deferral = Arc::new(Deferral::default());
        let outcome = deferral.scope(self.inner.call(request)).await.map(IntoResponse::into_response);
        let waiting = deferral.take();
        let is_kept = outcome.as_ref().is_ok_and(|response| response.status().is_success());
        if !is_kept {
            if let Some(tx) = waiting {
                tx.commit().await.map_err(problem)?;
            }
            return outcome;
        }
        let (kept, response) = copy(outcome?).await?;
        let tx = match waiting {
            Some(tx) => tx,
            None => kernel.db.write_tx().await.map_err(problem)?,
        };
        if idempotency::keep(&kernel, &tx, &attempt, &kept).await.map_err(problem)? {
            tx.commit().await.map_err(problem)?;
            return Ok(response);
        }
        tx.rollback().await.map_err(problem)?;
        // Another request with this key was faster.
        let other = idempotency::find(&kernel, &attempt).await.map_err(problem)?;
        Ok(other.map_or(response, replay))
    }
}

/// The attempt that a request is, if it carries the header and is one that may be repeated. The body stays as it is.
async fn attempt(request: &mut Request) -> Result<Option<Attempt>> {
    if request.method() != Method::POST || !request.headers().contains_key(HEADER) {
        return Ok(None);
    }
    let operation = operations::known().id("POST", request.uri().path());
    if !operation.is_some_and(|id| is_repeatable("POST", id)) {
        return Ok(None);
    }
    let invalid = || problem(IdempotencyError::Invalid);
    let mut values = request.headers().get_all(HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(invalid()) };
    let key = value.to_str().map_err(|_| invalid())?.to_owned();
    let body = request.take_body().into_bytes().await?;
    request.set_body(body.clone());
    let state = state_of(request)?;
    let target = request.uri().path_and_query().map_or("", |target| target.as_str()).as_bytes();
    let request_parts = [request.method().as_str().as_bytes(), target, &body];
    Attempt::new(&state.kernel.keys, &key, &caller(request)?, request_parts).map(Some).map_err(problem)
}

/// Who sends the request: by credential, or else by network.
fn caller(request: &Request) -> Result<Vec<u8>> {
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        return Ok(value.as_bytes().to_vec());
    }
    let state = state_of(request)?;
    let http = &state.kernel.config.http;
    let cookie = cookies::read(request.headers(), cookies::session_name(http))
        .or_else(|| cookies::read(request.headers(), cookies::login_name(http)));
    let network = || request.data::<Client>().map(Client::network).unwrap_or_default();
    Ok(cookie.unwrap_or_else(network).into_bytes())
}

/// Whether the credential of a request, if it has one, is still good.
async fn may_replay(request: &Request) -> Result<bool> {
    let state = state_of(request)?;
    let http = &state.kernel.config.http;
    let has_session = request.headers().contains_key(header::AUTHORIZATION)
        || cookies::read(request.headers(), cookies::session_name(http)).is_some();
    Ok(!has_session || security::live_session(state, request).await.is_some())
}

/// The answer, once to be kept and once to be sent.
async fn copy(response: Response) -> Result<(Kept, Response)> {
    let (parts, body) = response.into_parts();
    let bytes = body.into_bytes().await?;
    let headers = parts.headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let kept = Kept { status: parts.status.as_u16(), headers: headers.collect(), body: bytes.to_vec() };
    Ok((kept, Response::from_parts(parts, Body::from_bytes(bytes))))
}

fn replay(kept: Kept) -> Response {
    let mut response = Response::builder()
        .status(StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK))
        .body(Body::from_vec(kept.body));
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response.headers_mut().append(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_creates_or_sends_may_be_repeated() {
        for id in ["createApiKey", "requestPasswordReset", "resendEmailMfa", "signUp", "sendTestMail"] {
            assert!(is_repeatable("post", id), "{id}");
            assert!(!is_repeatable("put", id), "{id}");
        }
        for id in ["login", "signup", "rollApiKey", "create", "signalJob", "listApiKeys"] {
            assert!(!is_repeatable("post", id), "{id}");
        }
    }
}
