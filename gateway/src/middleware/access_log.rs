//! One line, two metrics and one span per request.
//!
//! The line has the path without its query, because queries carry mailed tokens. The metrics are labelled with the route's
//! template, so that ids and scanners cannot grow their number.

use std::{sync::Arc, time::Instant};

use poem::{Endpoint, Middleware, Request, Response, Result, http::Method};
use shared::client::Client;
use tracing::Instrument;

use crate::operations::Operations;

/// The middleware.
#[derive(Clone)]
pub struct AccessLog(pub Arc<Operations>);

impl<E: Endpoint> Middleware<E> for AccessLog {
    type Output = AccessLogEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        AccessLogEndpoint { inner, operations: Arc::clone(&self.0) }
    }
}

/// The endpoint of [`AccessLog`].
pub struct AccessLogEndpoint<E> {
    inner: E,
    operations: Arc<Operations>,
}

impl<E: Endpoint> Endpoint for AccessLogEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let started = Instant::now();
        let method = method_label(request.method());
        let path = request.uri().path().to_owned();
        let route = self.operations.template(&path).unwrap_or("unmatched").to_owned();
        let client = request.data::<Client>();
        let request_id = client.map(|client| client.request_id).unwrap_or_default();
        let span = tracing::info_span!("request", method, route, %request_id);
        shared::telemetry::continue_trace(&span, client.and_then(|client| client.traceparent.as_deref()));

        let response = self.inner.get_response(request).instrument(span.clone()).await;

        let status = response.status().as_u16();
        let elapsed = started.elapsed();
        let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        span.in_scope(|| tracing::info!(method, path, status, duration_ms, %request_id, "request"));
        let labels = [("method", method.to_owned()), ("route", route), ("status", status.to_string())];
        metrics::counter!("gatepost_http_requests_total", &labels).increment(1);
        metrics::histogram!("gatepost_http_request_seconds", &labels).record(elapsed.as_secs_f64());
        Ok(response)
    }
}

/// The method, of which anybody can invent any number.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}
