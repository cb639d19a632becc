//! Events per second that are durable when they are answered, against a bare loop that inserts the same rows.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait, Value as Bound};
use serde_json::{Value, json};
use shared::{
    config::load_from,
    db::{Db, numbered, portions},
    ids,
};
use tokio::task::JoinSet;

use super::{BenchServer, Connection, Report};
use crate::generate::tree;

/// How long each load runs.
const LOAD: Duration = Duration::from_secs(6);
/// Deliveries under way.
const LANES: usize = 32;
/// Visitors that the events are of.
const VISITORS: usize = 200;

/// Capture throughput with one event a delivery and with a hundred.
pub async fn capture(report: &mut Report) -> anyhow::Result<()> {
    measure("SQLite", &[], report).await?;
    let Some(database) = report.postgres().await? else { return Ok(()) };
    let measured = measure("PostgreSQL", &[("DATABASE__URL", &database.url)], report).await;
    database.remove().await?;
    measured
}

async fn measure(engine: &str, settings: &[(&str, &str)], report: &mut Report) -> anyhow::Result<()> {
    let mut server = BenchServer::start(settings).await?;
    server.sign_up("bench@example.test").await?;
    let db = connect(&server, settings).await?;
    let row = db.reader().query_one_raw(Statement::from_string(db.engine(), "SELECT id, project_token FROM projects"));
    let row = row.await?.context("a project")?;
    let (project, token): (uuid::Uuid, String) = (row.try_get("", "id")?, row.try_get("", "project_token")?);
    let mut accepted = Vec::new();
    for size in [1, 100] {
        // The first second warms up.
        load(&server.host, &token, size, Duration::from_secs(1)).await?;
        accepted.push((size, load(&server.host, &token, size, LOAD).await?));
    }
    server.process.signal("TERM").await;
    server.process.wait(Duration::from_secs(30)).await;
    for (size, rate) in accepted {
        let bare = insert(db.writer(), project, size).await?;
        report.told(&format!("{engine}: bare INSERT, {size} rows a statement"), &format!("{bare:.0} rows/s"));
        report.told(&format!("{engine}: capture, {size} events a delivery"), &format!("{rate:.0} events/s"));
        let ratio = rate / bare;
        report.held(
            &format!("{engine}: capture / bare INSERT, {size} a time"),
            &format!("{ratio:.2}"),
            ">= 0.5",
            ratio >= 0.5,
        );
    }
    Ok(())
}

/// A connection with the server's own options.
async fn connect(server: &BenchServer, settings: &[(&str, &str)]) -> anyhow::Result<Db> {
    let file = format!("sqlite://{}", server.installation.folder.join("gatepost.db").display());
    let mut variables = vec![("GATEPOST__DATABASE__URL".to_owned(), file)];
    variables.extend(settings.iter().map(|(key, value)| (format!("GATEPOST__{key}"), (*value).to_owned())));
    let config = load_from(None, variables.into_iter())?;
    Ok(Db::connect(&config.database).await?)
}

/// The properties of a page view as a browser sent it.
fn properties() -> anyhow::Result<Value> {
    let path = tree::root().join("tests/fixtures/capture/posthog-js-1.449.2.json");
    let recording: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    recording.pointer("/log/1/json/batch/0/properties").cloned().context("a recorded page view")
}

/// Events per second that were answered with 200. The bodies are put together from finished texts: what it costs to make
/// them is not what is measured.
async fn load(host: &str, token: &str, size: usize, load: Duration) -> anyhow::Result<f64> {
    let mut properties = properties()?;
    properties["token"] = json!(token);
    let properties = properties.to_string();
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for lane in 0..LANES {
        let (host, token, properties) = (host.to_owned(), token.to_owned(), properties.clone());
        tasks.spawn(async move {
            let (mut connection, mut events) = (Connection::open(&host).await?, 0_usize);
            while begin.elapsed() < load {
                let visitor = (lane + events / size) % VISITORS;
                let mut body = format!("{{\"api_key\":\"{token}\",\"batch\":[");
                for number in 0..size {
                    let comma = if number == 0 { "" } else { "," };
                    body.push_str(&format!(
                        "{comma}{{\"uuid\":\"{}\",\"event\":\"$pageview\",\"distinct_id\":\"visitor {visitor}\",\
                         \"offset\":5,\"properties\":{properties}}}",
                        ids::next()
                    ));
                }
                body.push_str("]}");
                let reply = connection.send("POST", "/batch", None, &body).await?;
                ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
                events += size;
            }
            anyhow::Ok(events)
        });
    }
    let events: usize = tasks.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    Ok(events as f64 / begin.elapsed().as_secs_f64())
}

/// Rows per second of a loop that does nothing else: one commit for so many rows, in statements as large as suits the
/// driver.
async fn insert(db: &DatabaseConnection, project: uuid::Uuid, size: usize) -> anyhow::Result<f64> {
    let (text, engine) = (properties()?.to_string(), db.get_database_backend());
    let (begin, mut rows) = (Instant::now(), 0_usize);
    while begin.elapsed() < LOAD {
        let values = (0..size).map(|number| -> [Bound; 8] {
            let visitor = format!("visitor {}", (rows + number) % VISITORS);
            let now = i64::try_from(rows + number).unwrap_or_default();
            [
                project.into(),
                ids::next().into(),
                "$pageview".into(),
                visitor.into(),
                now.into(),
                now.into(),
                true.into(),
                text.clone().into(),
            ]
        });
        let portions = portions(engine, values.collect());
        if let [portion] = portions.as_slice() {
            db.execute_raw(statement(engine, portion)).await?;
        } else {
            let tx = db.begin().await?;
            for portion in &portions {
                tx.execute_raw(statement(engine, portion)).await?;
            }
            tx.commit().await?;
        }
        rows += size;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    Ok(rows as f64 / begin.elapsed().as_secs_f64())
}

fn statement(engine: DbBackend, rows: &[[Bound; 8]]) -> Statement {
    let row = |number: usize| {
        let places: Vec<_> = (1..=8).map(|column| format!("${}", number * 8 + column)).collect();
        format!("({})", places.join(", "))
    };
    let sql = format!(
        "INSERT INTO events (project_id, uuid, event, distinct_id, at, received_at, is_personless, properties) VALUES {}",
        (0..rows.len()).map(row).collect::<Vec<_>>().join(", ")
    );
    numbered(engine, sql, rows.iter().flatten().cloned())
}
