//! Events of analytics clients: how they are read, what is answered, and that what was answered is durable.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code: a panic is how it fails"
)]

mod clients;
mod decoding;
mod durable;
mod replay;
mod wire;

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use harness::TestApp;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

/// The token of the first user's project.
async fn project_token(app: &TestApp) -> String {
    app.browser().sign_up("ada@example.com").await;
    texts(app, "SELECT project_token AS text FROM projects").await.remove(0)
}

/// What a query gives in its column `text`.
async fn texts(app: &TestApp, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(app.kernel.db.engine(), sql);
    let rows = app.kernel.db.reader().query_all_raw(statement).await.unwrap_or_else(|err| panic!("{sql}: {err}"));
    rows.iter().map(|row| row.try_get("", "text").unwrap()).collect()
}

async fn count_events(app: &TestApp) -> i64 {
    app.number("SELECT COUNT(*) AS number FROM events").await
}

/// A batch of events of these names by one person.
fn batch(token: &str, names: &[&str]) -> Value {
    let events: Vec<_> = names
        .iter()
        .map(|name| json!({ "uuid": uuid::Uuid::from_u128(shared::ids::next().as_u128()), "event": name, "distinct_id": "ann" }))
        .collect();
    json!({ "api_key": token, "batch": events })
}

/// Every byte as a form or a query escapes it.
pub(crate) fn percent(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
