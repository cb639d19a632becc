//! One line, two metrics and one span per request.
//!
//! The line has the path without its query, because queries carry mailed tokens. The metrics are labelled with the route's
//! template, so that ids and scanners cannot grow their number.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use metrics::{Counter, Histogram};
use poem::{Endpoint, Middleware, Request, Response, Result, http::Method};
use shared::client::Client;
use tracing::Instrument;

use crate::operations;

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub struct AccessLog;

impl<E: Endpoint> Middleware<E> for AccessLog {
    type Output = AccessLogEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        AccessLogEndpoint { inner, series: ArcSwap::default() }
    }
}

/// The endpoint of [`AccessLog`].
pub struct AccessLogEndpoint<E> {
    inner: E,
    /// As few as there are labels. Finding one here is quicker than by its labels, and readers do not meet in a lock.
    series: ArcSwap<HashMap<Labels, (Counter, Histogram)>>,
}

/// Method, route and status.
type Labels = (&'static str, &'static str, u16);

/// The route of all addresses that there are not.
const UNMATCHED: &str = "unmatched";

impl<E> AccessLogEndpoint<E> {
    fn count(&self, labels: Labels, elapsed: Duration) {
        let record = |(counter, histogram): &(Counter, Histogram)| {
            counter.increment(1);
            histogram.record(elapsed.as_secs_f64());
        };
        if let Some(known) = self.series.load().get(&labels) {
            return record(known);
        }
        let (method, route, status) = labels;
        let named = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.to_string())];
        let series = (
            metrics::counter!("gatepost_http_requests_total", &named),
            metrics::histogram!("gatepost_http_request_seconds", &named),
        );
        record(&series);
        self.series.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(labels, series.clone());
            known
        });
    }
}

impl<E: Endpoint> Endpoint for AccessLogEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let started = Instant::now();
        let method = method_label(request.method());
        let path = request.uri().path().to_owned();
        let route = operations::known().template(&path).unwrap_or(UNMATCHED);
        let client = request.data::<Client>();
        let request_id = client.map(|client| client.request_id).unwrap_or_default();
        let span = tracing::info_span!("request", method, route, %request_id);
        shared::telemetry::continue_trace(&span, client.and_then(|client| client.traceparent.as_deref()));

        let response = self.inner.get_response(request).instrument(span.clone()).await;

        let status = response.status().as_u16();
        let elapsed = started.elapsed();
        let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        span.in_scope(|| tracing::info!(method, path, status, duration_ms, %request_id, "request"));
        self.count((method, route, status), elapsed);
        Ok(response)
    }
}

/// The method, of which anybody can invent any number.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}
