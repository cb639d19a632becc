//! The listener for operators: `/metrics` in the Prometheus text format, `/health/live` and `/health/ready`.
//!
//! `/health/ready` is 503 with the reasons while any component of the process is not ready: a worker that lives but
//! consumes nothing is red.

use std::{io, net::SocketAddr, time::Duration};

use poem::{
    Response, Route, Server,
    endpoint::make_sync,
    get,
    http::{StatusCode, header},
    listener::{Acceptor, Listener, TcpAcceptor, TcpListener},
};
use shared::{
    lifecycle::{CancellationToken, Readiness},
    telemetry,
};

/// How long an answer in flight may take at the end.
const GRACE: Duration = Duration::from_secs(1);

/// A listener that is bound and does not answer yet.
pub struct Bound {
    acceptor: TcpAcceptor,
}

/// Binds the address.
///
/// # Errors
/// When the address is taken or not this machine's.
pub async fn bind(listen: SocketAddr) -> io::Result<Bound> {
    Ok(Bound { acceptor: TcpListener::bind(listen).into_acceptor().await? })
}

impl Bound {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.acceptor.local_addr().first().and_then(|address| address.as_socket_addr().copied())
    }

    /// Answers until `stopping` is cancelled.
    ///
    /// # Errors
    /// Never once it is bound; the type is poem's.
    pub async fn serve(self, readiness: Readiness, stopping: CancellationToken) -> io::Result<()> {
        let ready = make_sync(move |_| report(&readiness));
        let app = Route::new()
            .at("/metrics", get(make_sync(|_| metrics())))
            .at("/health/live", get(make_sync(|_| json(StatusCode::OK, r#"{"status":"live"}"#.to_owned()))))
            .at("/health/ready", get(ready));
        Server::new_with_acceptor(self.acceptor)
            .run_with_graceful_shutdown(app, stopping.cancelled_owned(), Some(GRACE))
            .await
    }
}

fn metrics() -> Response {
    match telemetry::metrics() {
        Some(handle) => Response::builder().content_type("text/plain; version=0.0.4").body(handle.render()),
        None => StatusCode::SERVICE_UNAVAILABLE.into(),
    }
}

fn report(readiness: &Readiness) -> Response {
    let (status, body) = readiness.health(&[]).to_answer();
    json(StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE), body)
}

fn json(status: StatusCode, body: String) -> Response {
    Response::builder().status(status).header(header::CONTENT_TYPE, "application/json").body(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_names_what_is_missing() {
        let readiness = Readiness::default();
        readiness.set("relay", Ok(()));
        assert_eq!(report(&readiness).status(), StatusCode::OK);
        readiness.set("worker.mail", Err("not registered".to_owned()));
        let response = report(&readiness);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = response.into_body().into_string().await.unwrap();
        assert!(body.contains(r#""worker.mail":{"status":"not_ready","reason":"not registered"}"#), "{body}");
    }
}
