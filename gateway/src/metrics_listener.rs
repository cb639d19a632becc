//! The listener for operators: `/metrics` in the Prometheus text format, and the health of this process.
//!
//! It is apart from the public one, because metrics tell how many sign-ins fail and health names components.

use std::io;

use poem::{Response, Route, RouteMethod, endpoint::make, get, http::StatusCode};
use shared::lifecycle::CancellationToken;

use crate::{health, server::Bound, state::AppState};

/// Serves metrics and health until `stopping` is cancelled.
///
/// # Errors
/// Never once it is bound; the type is poem's.
pub async fn serve(bound: Bound, state: AppState, stopping: CancellationToken) -> io::Result<()> {
    let endpoint = Route::new()
        .at("/metrics", metrics())
        .at("/health/live", health::live())
        .at("/health/ready", health::ready(&state));
    bound.serve(endpoint, &state.kernel.config.http, stopping).await
}

fn metrics() -> RouteMethod {
    get(make(|_| async {
        let Some(handle) = shared::telemetry::metrics() else {
            return Ok::<_, poem::Error>(Response::from(StatusCode::SERVICE_UNAVAILABLE));
        };
        Ok(Response::builder().content_type("text/plain; version=0.0.4").body(handle.render()))
    }))
}
