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

use std::time::Duration;

use poem::{Endpoint, EndpointExt, Middleware, Response, Route};

use crate::{
    api::Beside,
    middleware::{
        access_log::AccessLog, audit_failures::AuditFailures, csrf::RefuseForeign, diagnose::Diagnose, edge::Edge,
        envelope::Envelope, fork::Fork, idempotency::Idempotency, key_trace::KeyTrace, limits::Limits,
        panic::CatchPanic, timeout::Timeout,
    },
};
pub use crate::{
    problem::problem,
    state::{AppParts, AppState},
};

/// Everything behind the public listener.
#[must_use]
pub fn app(state: AppState) -> impl Endpoint<Output = Response> + 'static {
    guard(routes(&state), state)
}

/// What every request passes on its way to the routes.
fn guard(routes: impl Endpoint + 'static, state: AppState) -> impl Endpoint<Output = Response> + 'static {
    let http = &state.kernel.config.http;
    let patience = Duration::from_secs(http.request_timeout_seconds);
    // From the inside out; see `middleware` for the same list from the outside in.
    let guarded = Fork::new(routes, Idempotency.combine(AuditFailures).combine(Diagnose))
        .with(KeyTrace(state.clone()))
        .with(RefuseForeign { public_origin: http.origin() })
        .with(Limits::of(http))
        .with(Timeout(patience))
        .with(CatchPanic)
        .with(Edge)
        .with(capture::Mount { patience })
        .boxed();
    guarded.with(AccessLog).with(Envelope::new(state))
}

/// All routes.
fn routes(state: &AppState) -> impl Endpoint + use<> {
    let service = spec::service();
    let routes = Route::new()
        .at("/openapi.json", web::openapi(openapi::render(spec::published())))
        .at("/docs", web::docs())
        .at("/docs/reference.js", web::reference_script(&service.scalar_html()))
        .at("/health/live", health::live())
        .at("/health/ready", health::ready(state))
        .at("/_health", health::ready(state))
        .at("/dev/mailbox", dev_mailbox::page(state))
        .at(dev_mailbox::LIST_PATH, dev_mailbox::list(state));
    Beside::new(spec::api(), service, pages::routes(routes, state))
}
