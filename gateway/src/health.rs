//! Whether this process lives, and whether it should get requests.
//!
//! `/health/live` answers as long as the process does: a supervisor restarts it otherwise. `/health/ready` asks every
//! component and the database: a load balancer sends its requests elsewhere while it is 503.

use std::time::Duration;

use poem::{
    Response, RouteMethod,
    endpoint::make,
    get,
    http::{StatusCode, header},
};
use sea_orm::ConnectionTrait;

use crate::state::AppState;

const PING_PATIENCE: Duration = Duration::from_secs(1);

/// `GET /health/live`: 200 as long as the process runs.
#[must_use]
pub fn live() -> RouteMethod {
    get(make(|_| async { Ok::<_, poem::Error>(json(StatusCode::OK, r#"{"status":"live"}"#.to_owned())) }))
}

/// `GET /health/ready`: 200 when every component is ready, 503 with the reasons otherwise.
#[must_use]
pub fn ready(state: &AppState) -> RouteMethod {
    let state = state.clone();
    get(make(move |_| {
        let state = state.clone();
        async move { Ok::<_, poem::Error>(readiness(&state).await) }
    }))
}

async fn readiness(state: &AppState) -> Response {
    let mut looked_at = vec![("database", ping(state).await)];
    if state.draining.is_cancelled() {
        looked_at.push(("process", Err("draining".to_owned())));
    }
    let (status, body) = state.readiness.health(&looked_at).to_answer();
    json(StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE), body)
}

/// Why the database does not answer goes to the log: it can name hosts and users.
async fn ping(state: &AppState) -> Result<(), String> {
    let query = state.kernel.db.reader().execute_unprepared("SELECT 1");
    match tokio::time::timeout(PING_PATIENCE, query).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the database does not answer");
            Err("does not answer".to_owned())
        }
        Err(_) => Err("does not answer within a second".to_owned()),
    }
}

fn json(status: StatusCode, body: String) -> Response {
    Response::builder().status(status).header(header::CONTENT_TYPE, "application/json").body(body)
}
