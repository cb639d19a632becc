//! The HTTP gateway: it decides who someone is, at once; everything else it leaves to jobs.
//!
//! Reading order: [`app`] (what is where), [`middleware`] (what every request passes), [`spec`] and [`api`] (the
//! operations), [`security`] (who calls), [`mod@problem`] (what failure looks like), [`pages`] (what people see),
//! [`capture`] (what analytics clients speak), [`server`] (the listener).
//!
//! ```text
//! listener ─► middleware ─► /api            OpenAPI operations ─► flows in `shared`
//!                           /openapi.json   /docs
//!                           /login /reset … pages ─► the same flows
//!                           /health …       /_health
//!                           /dev/mailbox    developer's mails
//!                ├────────► /e /batch …     events of analytics clients, under rules of their own
//! second listener ─► /metrics, /health
//! ```

pub mod api;
pub mod capture;
pub mod dev_mailbox;
pub mod health;
pub mod metrics_listener;
pub mod middleware;
pub mod operations;
pub mod pages;
pub mod paging;
pub mod problem;
pub mod problem_kinds;
pub mod security;
pub mod server;
pub mod spec;
pub mod state;
pub mod web;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use poem::{Endpoint, EndpointExt, Middleware, Response, Route, endpoint::BoxEndpoint};
use serde_json::Value;

use crate::{
    api::Beside,
    middleware::{
        access_log::AccessLog, audit_failures::AuditFailures, csrf::RefuseForeign, diagnose::Diagnose, edge::Edge,
        envelope::Envelope, fork::Fork, idempotency::Idempotency, key_trace::KeyTrace, limits::Limits,
        panic::CatchPanic, timeout::Timeout,
    },
    operations::Operations,
};
pub use crate::{
    problem::problem,
    state::{AppParts, AppState},
};

/// Addresses that are not in the API document.
const OTHER_ADDRESSES: &[(&str, &[&str])] = &[
    ("/openapi.json", &["GET"]),
    ("/docs", &["GET"]),
    ("/docs/reference.js", &["GET"]),
    ("/health/live", &["GET"]),
    ("/health/ready", &["GET"]),
    ("/_health", &["GET"]),
    ("/dev/mailbox", &["GET"]),
    (dev_mailbox::LIST_PATH, &["GET"]),
    ("/assets/gatepost.css", &["GET"]),
    ("/", &["GET"]),
    ("/account", &["GET"]),
    ("/account/sign_out", &["POST"]),
    ("/invite", &["GET", "POST"]),
    ("/login", &["GET", "POST"]),
    ("/login/email", &["GET", "POST"]),
    ("/login/not_me", &["GET", "POST"]),
    ("/login/two_factor", &["GET", "POST"]),
    ("/reset", &["GET", "POST"]),
    ("/two_factor_reset", &["GET", "POST"]),
    ("/verify_email", &["GET", "POST"]),
];

/// Everything behind the public listener.
#[must_use]
pub fn app(state: AppState) -> BoxEndpoint<'static, Response> {
    let (routes, document) = routes(&state);
    guard(routes, &document, state)
}

/// What every request passes on its way to the routes.
fn guard(routes: impl Endpoint + 'static, document: &Value, state: AppState) -> BoxEndpoint<'static, Response> {
    let http = &state.kernel.config.http;
    let operations = Operations::of(document).with(OTHER_ADDRESSES).with(capture::OTHER_ADDRESSES);
    let operations = Arc::new(operations);
    let patience = Duration::from_secs(http.request_timeout_seconds);
    // From the inside out; see `middleware` for the same list from the outside in.
    let guarded = Fork::new(routes, Idempotency.combine(AuditFailures).combine(Diagnose(Arc::clone(&operations))))
        .with(KeyTrace(state.clone()))
        .with(RefuseForeign { public_origin: http.origin() })
        .with(Limits::of(http))
        .with(Timeout(patience))
        .with(CatchPanic)
        .boxed();
    guarded
        .with(Edge(Arc::clone(&operations)))
        .with(capture::Mount { patience })
        .with(AccessLog(Arc::clone(&operations)))
        .with(Envelope::new(state, operations))
        .boxed()
}

/// All routes, and the API document of those that are in it.
fn routes(state: &AppState) -> (impl Endpoint + 'static, Value) {
    let service = spec::service();
    let document = spec::document().unwrap_or_else(|error| {
        tracing::error!(%error, "the API document contradicts itself");
        Value::Null
    });
    let routes = Route::new()
        .at("/openapi.json", web::openapi(openapi::render(&document)))
        .at("/docs", web::docs())
        .at("/docs/reference.js", web::reference_script(&service.scalar_html()))
        .at("/health/live", health::live())
        .at("/health/ready", health::ready(state))
        .at("/_health", health::ready(state))
        .at("/dev/mailbox", dev_mailbox::page(state))
        .at(dev_mailbox::LIST_PATH, dev_mailbox::list(state));
    (Beside::new(service, pages::routes(routes, state)), document)
}
