//! Identify: what clients capture adds up to persons, the same ones in every order.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "test code")]

mod convergence;
mod killed;
mod merges;
mod oracle;
mod rules;
mod upkeep;
mod verification;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use harness::TestApp;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Map, Value, json};
use shared::{
    clock::Timestamp,
    identify::{self, Accepted, CapturedEvent, PersonProcessing, person_changes},
    ids,
    jobs::{Job, JobId},
    lifecycle::CancellationToken,
    projects::{self, Project},
};
use uuid::Uuid;

const ADA: &str = "ada@lovelace.test";

/// An application with one project.
pub struct World {
    app: TestApp,
    project: Project,
}

/// A person as the database has it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    id: Uuid,
    created_at: Timestamp,
    properties: Value,
    is_identified: bool,
    version: i64,
    ids: BTreeSet<String>,
}

impl World {
    async fn new() -> Self {
        Self::of(TestApp::new().await).await
    }

    async fn of(app: TestApp) -> Self {
        app.browser().sign_up_verified(ADA).await;
        let rows = query(&app, "SELECT project_token FROM projects").await;
        let project_token: String = rows[0].try_get("", "project_token").expect("a token");
        let project = projects::find_by_token(app.kernel.db.reader(), &project_token).await.expect("projects");
        Self { project: project.expect("the first project"), app }
    }

    /// An event that happened this many seconds after some past moment.
    fn event(&self, name: &str, distinct_id: &str, second: i64, body: &Value) -> CapturedEvent {
        let received_at = self.app.now();
        let body = body.as_object().expect("an object");
        let properties = body.get("properties").and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
        let changes = person_changes(body, &properties);
        let person_processing = match properties.get("$process_person_profile") {
            None | Some(Value::Bool(true)) => PersonProcessing::Process,
            Some(Value::Bool(false)) => PersonProcessing::Personless,
            Some(_) => PersonProcessing::Invalid,
        };
        CapturedEvent {
            uuid: ids::next(),
            event: name.to_owned(),
            distinct_id: distinct_id.to_owned(),
            at: begin(received_at) + Duration::from_secs(u64::try_from(second).expect("a time")),
            received_at,
            properties,
            set: changes.set,
            set_once: changes.set_once,
            unset: changes.unset,
            person_processing,
            may_merge_dangerously: false,
        }
    }

    /// `other` is absorbed into `into`.
    fn identify(&self, into: &str, other: &str, second: i64) -> CapturedEvent {
        self.event("$identify", into, second, &json!({ "properties": { "$anon_distinct_id": other } }))
    }

    fn set(&self, distinct_id: &str, second: i64, properties: &Value) -> CapturedEvent {
        self.event("$set", distinct_id, second, &json!({ "$set": properties }))
    }

    /// Accepts a batch, whose job is left to be done.
    async fn accept(&self, events: Vec<CapturedEvent>) -> Accepted {
        let kernel = &self.app.kernel;
        let tx = kernel.db.write_tx().await.expect("a transaction");
        let accepted = identify::accept(kernel, &tx, &self.project, events).await.expect("accepted");
        tx.commit().await.expect("a commit");
        accepted
    }

    /// Accepts a batch and does all jobs.
    async fn capture(&self, events: Vec<CapturedEvent>) -> Accepted {
        let accepted = self.accept(events).await;
        self.app.drain().await;
        accepted
    }

    /// All persons, with their ids.
    async fn persons(&self) -> Vec<Seen> {
        let mut ids: BTreeMap<Uuid, BTreeSet<String>> = BTreeMap::new();
        let sql = "SELECT person_id, distinct_id FROM person_distinct_ids WHERE person_id IS NOT NULL";
        for row in query(&self.app, sql).await {
            let person_id = row.try_get("", "person_id").expect("an id");
            ids.entry(person_id).or_default().insert(row.try_get("", "distinct_id").expect("an id"));
        }
        let sql = "SELECT id, created_at, properties, is_identified, version, id_count FROM persons ORDER BY id";
        let rows = query(&self.app, sql).await;
        let seen = rows.iter().map(|row| {
            let id: Uuid = row.try_get("", "id").expect("an id");
            let properties: String = row.try_get("", "properties").expect("properties");
            let ids = ids.remove(&id).unwrap_or_default();
            let id_count: i64 = row.try_get("", "id_count").expect("a count");
            assert_eq!(i64::try_from(ids.len()), Ok(id_count), "the count of ids of {id}: {ids:?}");
            Seen {
                id,
                created_at: Timestamp(row.try_get("", "created_at").expect("a time")),
                properties: serde_json::from_str(&properties).expect("JSON"),
                is_identified: row.try_get("", "is_identified").expect("a flag"),
                version: row.try_get("", "version").expect("a version"),
                ids,
            }
        });
        let seen = seen.collect();
        assert!(ids.is_empty(), "ids of persons that are not there: {ids:?}");
        seen
    }

    async fn person_of(&self, distinct_id: &str) -> Option<Seen> {
        self.persons().await.into_iter().find(|person| person.ids.contains(distinct_id))
    }

    /// All warnings: what is wrong with which event.
    async fn warnings(&self) -> BTreeSet<(String, Uuid)> {
        let rows = query(&self.app, "SELECT kind, event_uuid FROM ingestion_warnings").await;
        let read = |row: &sea_orm::QueryResult| {
            (row.try_get("", "kind").expect("a kind"), row.try_get("", "event_uuid").expect("an id"))
        };
        rows.iter().map(read).collect()
    }

    async fn has_warning(&self, kind: &str) -> bool {
        self.warnings().await.iter().any(|(found, _)| found == kind)
    }

    /// No worker waited for another one in a circle: what they lock they lock in one order.
    async fn is_without_deadlock(&self) {
        let sql = "SELECT last_error FROM jobs WHERE last_error LIKE '%deadlock%'";
        let errors = query(&self.app, sql).await;
        let error = |row: &sea_orm::QueryResult| row.try_get::<String>("", "last_error").expect("an error");
        assert!(errors.is_empty(), "{:?}", errors.iter().map(error).collect::<Vec<_>>());
    }

    /// The jobs of a name that have not ended.
    async fn open_jobs<J: Job>(&self) -> Vec<JobId> {
        let sql = format!(
            "SELECT id FROM jobs WHERE name = '{}' AND state IN ('queued', 'retrying', 'running', 'dispatched') ORDER BY id",
            J::NAME
        );
        query(&self.app, &sql).await.iter().map(|row| row.try_get("", "id").expect("an id")).collect()
    }
}

/// What times of events are counted from: an hour ago, at a full second.
fn begin(now: Timestamp) -> Timestamp {
    Timestamp((now.unix_seconds() - 3_600) * 1_000_000)
}

async fn query(app: &TestApp, sql: &str) -> Vec<sea_orm::QueryResult> {
    let db = app.kernel.db.writer();
    db.query_all_raw(Statement::from_string(app.kernel.db.engine(), sql)).await.expect(sql)
}

/// Attempts a job, and no retry of it.
async fn attempt(app: &TestApp, id: JobId) -> Option<&'static str> {
    // A claim that was made together with one of a killed worker fails; its job is still there.
    let nothing = CancellationToken::new();
    workers::attempt::run(&app.context, &app.registry, id, &nothing).await.ok().flatten()
}
