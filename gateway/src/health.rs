//! Whether this process lives, and whether it should get requests.
//!
//! `/health/live` answers as long as the process does: a supervisor restarts it otherwise. `/health/ready` asks every
//! component and the database: a load balancer sends its requests elsewhere while it is 503.

use std::{collections::BTreeMap, time::Duration};

use poem::{
    Response, RouteMethod,
    endpoint::make,
    get,
    http::{StatusCode, header},
};
use sea_orm::ConnectionTrait;
use serde::Serialize;

use crate::state::AppState;

const PING_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize)]
struct Report {
    status: &'static str,
    components: BTreeMap<String, Component>,
}

#[derive(Debug, Serialize)]
struct Component {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Component {
    fn of(state: Result<(), String>) -> Self {
        match state {
            Ok(()) => Self { status: "ready", reason: None },
            Err(reason) => Self { status: "not_ready", reason: Some(reason) },
        }
    }
}

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
    let mut components = state.readiness.components();
    components.insert("database".to_owned(), ping(state).await);
    if state.draining.is_cancelled() {
        components.insert("process".to_owned(), Err("draining".to_owned()));
    }
    let is_ready = components.values().all(Result::is_ok);
    let report = Report {
        status: if is_ready { "ready" } else { "not_ready" },
        components: components.into_iter().map(|(name, state)| (name, Component::of(state))).collect(),
    };
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, serde_json::to_string(&report).unwrap_or_default())
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
