//! What was answered is stored, once, and one delivery does not fail another.

use std::time::Duration;

use futures_util::future::join_all;
use harness::{PASSWORD, Settings, TestApp};
use serde_json::{Value, json};
use shared::{jobs::JobState, key_format, projects};

use super::{batch, count_events, project_token, texts};

/// ID-20, ID-21: a delivery that comes again, whole or in parts, at once or later, is stored once
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_comes_again_is_stored_once() {
    let app = TestApp::new().await;
    let token = project_token(&app).await;
    let whole = batch(&token, &["a", "b", "c", "d", "e", "f"]);
    let half = json!({ "api_key": token, "batch": whole["batch"].as_array().unwrap()[..3] });
    let anonymous = json!({ "api_key": token, "sent_at": "2026-11-25T09:00:00Z", "batch": [
        { "event": "no id", "distinct_id": "ann", "timestamp": "2026-11-25T08:59:00Z" },
        { "event": "no id", "distinct_id": "ann", "timestamp": "2026-11-25T08:59:00Z" },
        { "event": "$identify", "distinct_id": "ann", "properties": { "$anon_distinct_id": "anon_7" } },
    ] });
    let callers: Vec<_> = (0..24).map(|_| app.browser()).collect();
    let bodies = [&whole, &half, &anonymous];
    let sending =
        callers.iter().zip(bodies.iter().cycle()).map(|(caller, body)| caller.post("/batch", (*body).clone()));
    for answer in join_all(sending).await {
        answer.expect(200);
    }
    for body in bodies {
        app.browser().post("/batch", body.clone()).await.expect(200);
    }
    assert_eq!(count_events(&app).await, 9);
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM person_facts WHERE kind = 'merge'").await, 1);
    app.drain().await;
}

/// ID-38: deliveries that come together share transactions, and one that the database refuses fails alone
#[tokio::test(flavor = "multi_thread")]
async fn one_bad_delivery_fails_alone() {
    let app = TestApp::new().await;
    let token = project_token(&app).await;
    // A row that the database refuses for a reason of its own.
    app.execute(if app.kernel.db.is_postgres() {
        "ALTER TABLE events ADD CONSTRAINT no_poison CHECK (event <> 'poison')"
    } else {
        "CREATE TRIGGER no_poison BEFORE INSERT ON events WHEN NEW.event = 'poison'
         BEGIN SELECT RAISE(ABORT, 'poison'); END"
    })
    .await;
    let callers: Vec<_> = (0..40).map(|_| app.browser()).collect();
    let sending = callers.iter().enumerate().map(|(number, caller)| {
        let name = if number % 8 == 7 { "poison" } else { "good" };
        caller.post("/e", batch(&token, &[name]))
    });
    for (number, answer) in join_all(sending).await.into_iter().enumerate() {
        answer.expect(if number % 8 == 7 { 503 } else { 200 });
    }
    assert_eq!(count_events(&app).await, 35);
    app.drain().await;
}

/// The events of an answered delivery are there with their identity job, whatever happens next
#[tokio::test(flavor = "multi_thread")]
async fn events_and_their_job_commit_together() {
    let app = TestApp::new().await;
    let token = project_token(&app).await;
    let jobs = async || app.count_jobs("identify.apply_facts", JobState::Queued).await;
    assert_eq!((count_events(&app).await, jobs().await), (0, 0));
    app.execute("ALTER TABLE person_facts RENAME TO facts_away").await;
    let identify = json!({ "api_key": token, "event": "$identify", "distinct_id": "ann",
        "properties": { "$anon_distinct_id": "anon_7" }, "uuid": uuid::Uuid::nil() });
    app.browser().post("/e", identify.clone()).await.expect_problem(503, "temporarily_unavailable");
    assert_eq!((count_events(&app).await, jobs().await), (0, 0), "all or nothing");
    app.execute("ALTER TABLE facts_away RENAME TO person_facts").await;
    app.browser().post("/e", identify).await.expect(200);
    assert_eq!((count_events(&app).await, jobs().await), (1, 1));
    app.drain().await;
}

/// ID-47: the token of a deleted project is refused once the cache has forgotten it
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_projects_token_ends_within_a_bound() {
    let app = TestApp::with(Settings::with(|config| config.capture.project_cache_seconds = 30)).await;
    let token = project_token(&app).await;
    app.browser().post("/e", batch("gpc_later", &["a"])).await.expect_problem(401, "invalid_project_token");
    app.browser().post("/e", batch(&token, &["a"])).await.expect(200);
    app.execute("UPDATE projects SET project_token = 'gpc_other'").await;
    app.advance(Duration::from_secs(31));
    app.browser().post("/e", batch(&token, &["a"])).await.expect_problem(401, "invalid_project_token");
    app.browser().post("/e", batch("gpc_other", &["a"])).await.expect(200);
    assert_eq!(count_events(&app).await, 2);
    app.drain().await;
}

/// ID-12: the wire rule decides who is merged into whom: Node and Python name the same two ids the other way round
#[tokio::test(flavor = "multi_thread")]
async fn aliases_are_taken_as_the_wire_says() {
    let app = TestApp::new().await;
    let token = project_token(&app).await;
    let alias = |distinct_id: &str, alias: &str| -> Value {
        json!({ "api_key": token, "batch": [{ "event": "$create_alias", "distinct_id": distinct_id,
            "properties": { "distinct_id": distinct_id, "alias": alias }, "timestamp": "2026-11-25T08:59:00Z" }] })
    };
    app.browser().post("/batch/", alias("user_1", "anon_7")).await.expect(200);
    app.browser().post("/batch/", alias("anon_8", "user_2")).await.expect(200);
    let merges = "SELECT distinct_id || ' absorbs ' || other AS text FROM person_facts WHERE kind = 'merge'";
    let mut merges = texts(&app, merges).await;
    merges.sort();
    assert_eq!(merges, ["anon_8 absorbs user_2", "user_1 absorbs anon_7"]);
    app.drain().await;
}

/// ID-09: merging identified persons needs a secret key of the project beside the public token
#[tokio::test(flavor = "multi_thread")]
async fn dangerous_merges_need_a_secret_key() {
    let app = TestApp::new().await;
    let ada = app.browser();
    ada.sign_up_verified("ada@example.com").await;
    ada.log_in("ada@example.com", PASSWORD).await;
    let token = texts(&app, "SELECT project_token AS text FROM projects").await.remove(0);
    let project = projects::find_by_token(app.kernel.db.reader(), &token).await.unwrap().unwrap().id;
    let path = format!("/api/projects/{project}/secret_keys");
    let key = ada.post(&path, json!({ "label": "server", "scopes": ["person:write"] })).await.expect(201).json();
    let key = key["value"].as_str().unwrap();
    let merge =
        |alias: &str| json!({ "event": "$merge_dangerously", "distinct_id": "ann", "properties": { "alias": alias } });
    let batch = |alias: &str| json!({ "api_key": token, "batch": [merge(alias)] });
    let facts = "SELECT other AS text FROM person_facts WHERE kind = 'merge_unguarded'";

    app.browser().post("/batch", batch("public")).await.expect(200);
    assert!(texts(&app, facts).await.is_empty());
    let warnings = texts(&app, "SELECT kind AS text FROM ingestion_warnings").await;
    assert_eq!(warnings, ["merge_dangerously_requires_secret_key"]);

    app.browser().bearer(key).post("/batch", batch("header")).await.expect(200);
    let mut within = batch("envelope");
    within["secret_api_key"] = json!(key);
    app.browser().post("/batch", within.clone()).await.expect(200);
    let mut allowed = texts(&app, facts).await;
    allowed.sort();
    assert_eq!(allowed, ["envelope", "header"]);

    // It has the form of a key, with a checksum that fits.
    let forged = key_format::mint("gps_").expose().clone();
    app.browser().bearer(&forged).post("/batch", batch("forged")).await.expect_problem(401, "invalid_project_token");
    within["secret_api_key"] = json!(forged);
    app.browser().post("/batch", within).await.expect_problem(401, "invalid_project_token");
    assert_eq!(texts(&app, facts).await.len(), 2);
    assert!(!app.dump().await.contains(key), "the key is nowhere");
    app.drain().await;
}
