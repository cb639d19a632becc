//! Persons and events as people look at them, over the API.

#![expect(clippy::expect_used, reason = "test code")]

use std::time::Duration;

use harness::{Caller, PASSWORD, TestApp, works};
use serde_json::{Map, Value, json};
use shared::{
    identify::{self, CapturedEvent, PersonProcessing},
    ids, orgs,
    persons::SweepEvents,
    projects::{self, Project},
};

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@byron.test";

async fn app() -> (TestApp, Project) {
    let app = TestApp::new().await;
    for email in [ADA, BOB] {
        app.browser().sign_up_verified(email).await;
    }
    let user = app.user(ADA).await;
    let db = app.kernel.db.reader();
    let org_ids: Vec<_> =
        orgs::list_of_user(db, user.id).await.expect("organizations").into_iter().map(|(org, _)| org.id).collect();
    let project = projects::list_of_organizations(db, &org_ids).await.expect("projects").remove(0);
    (app, project)
}

async fn signed_in<'a>(app: &'a TestApp, email: &str) -> Caller<'a> {
    let browser = app.browser();
    browser.log_in(email, PASSWORD).await;
    browser
}

fn event(app: &TestApp, name: &str, distinct_id: &str, minutes_ago: u64, properties: &Value) -> CapturedEvent {
    let received_at = app.now();
    CapturedEvent {
        uuid: ids::next(),
        event: name.to_owned(),
        distinct_id: distinct_id.to_owned(),
        at: received_at - Duration::from_secs(60 * minutes_ago),
        received_at,
        properties: properties.as_object().cloned().unwrap_or_else(Map::new),
        set: properties.get("$set").and_then(Value::as_object).cloned().unwrap_or_default(),
        set_once: Map::new(),
        unset: Vec::new(),
        person_processing: PersonProcessing::Process,
        may_merge_dangerously: false,
    }
}

async fn capture(app: &TestApp, project: &Project, events: Vec<CapturedEvent>) {
    let tx = app.kernel.db.write_tx().await.expect("a transaction");
    identify::accept(&app.kernel, &tx, project, events).await.expect("accepted");
    tx.commit().await.expect("a commit");
    app.drain().await;
}

fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().expect("items")
}

/// ID-18, ID-19: events name the person that their id belongs to now.
#[tokio::test(flavor = "multi_thread")]
async fn persons_are_found_and_events_name_them() {
    let (app, project) = app().await;
    let ada = signed_in(&app, ADA).await;
    let base = format!("/api/projects/{}", project.id);
    let personless = |at| {
        let mut event = event(&app, "page", "anon", at, &json!({ "path": "/" }));
        event.person_processing = PersonProcessing::Personless;
        event
    };
    capture(&app, &project, vec![personless(9)]).await;
    let page = ada.get(&format!("{base}/events")).await.expect(200).json();
    assert!(items(&page)[0].get("person").is_none(), "nobody yet");
    let identify = json!({ "$anon_distinct_id": "anon", "$set": { "email": "Ada@Example.test" } });
    capture(&app, &project, vec![event(&app, "$identify", "user", 5, &identify), personless(1)]).await;
    let page = ada.get(&format!("{base}/persons?email=ada@example.TEST")).await.expect(200).json();
    let person = items(&page)[0].clone();
    assert_eq!(person["distinct_ids"], json!(["anon", "user"]));
    assert_eq!(person["is_identified"], true);
    assert_eq!(person["properties"]["email"], "Ada@Example.test");
    for query in ["distinct_id=anon", "distinct_id=user", ""] {
        let page = ada.get(&format!("{base}/persons?{query}")).await.expect(200).json();
        assert_eq!((items(&page).len(), &items(&page)[0]["id"]), (1, &person["id"]));
    }
    assert!(items(&ada.get(&format!("{base}/persons?distinct_id=x")).await.expect(200).json()).is_empty());
    let id = person["id"].as_str().expect("an id");
    assert_eq!(ada.get(&format!("{base}/persons/{id}")).await.expect(200).json(), person);
    let page = ada.get(&format!("{base}/events?person_id={id}")).await.expect(200).json();
    let events: Vec<_> = items(&page).iter().map(|event| event["event"].as_str().expect("a name")).collect();
    assert_eq!(events, ["page", "$identify", "page"], "the latest first");
    assert!(
        items(&page).iter().all(|event| event["person"]["id"] == *id && event["person"]["email"] == "ada@example.test")
    );
    assert_eq!(items(&ada.get(&format!("{base}/events?event=page")).await.expect(200).json()).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    let (app, project) = app().await;
    let ada = signed_in(&app, ADA).await;
    let base = format!("/api/projects/{}", project.id);
    let cookieless = json!({ "$cookieless_mode": true });
    let events = (0..5).flat_map(|number| {
        let id = format!("id-{number}");
        [event(&app, "page", &id, 7, &json!({})), event(&app, "page", &id, 3, &cookieless)]
    });
    let events = events.collect();
    capture(&app, &project, events).await;
    for list in ["persons", "events", "warnings"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        for _ in 0..3 {
            let page = ada.get(&format!("{base}/{list}?limit=2{cursor}")).await.expect(200).json();
            seen.extend(items(&page).iter().map(|item| item.get("id").or(item.get("uuid")).cloned()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let distinct: std::collections::BTreeSet<String> = seen.iter().map(|id| format!("{id:?}")).collect();
        assert_eq!((seen.len(), distinct.len()), (5, 5), "{list}");
    }
    ada.get(&format!("{base}/events?cursor=x")).await.expect_problem(422, "validation_failed");
}

/// ID-29:
#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_split_and_deleted() {
    let (app, project) = app().await;
    let ada = signed_in(&app, ADA).await;
    let base = format!("/api/projects/{}", project.id);
    let identify =
        |other: &str| event(&app, "$identify", "user", 5, &json!({ "$anon_distinct_id": other, "$set": { "a": 1 } }));
    capture(&app, &project, vec![identify("one"), identify("two")]).await;
    let page = ada.get(&format!("{base}/persons")).await.expect(200).json();
    let path = format!("{base}/persons/{}", items(&page)[0]["id"].as_str().expect("an id"));
    ada.post(&format!("{path}/split"), json!({ "main_distinct_id": "else" }))
        .await
        .expect_problem(409, "distinct_id_of_another_person");
    let main = ada.post(&format!("{path}/split"), json!({ "main_distinct_id": "user" })).await.expect(200).json();
    assert_eq!((&main["distinct_ids"], &main["properties"]["a"]), (&json!(["user"]), &json!(1)));
    assert_eq!(items(&ada.get(&format!("{base}/persons")).await.expect(200).json()).len(), 3);
    ada.delete(&path).await.expect(204);
    ada.delete(&path).await.expect_problem(404, "person_not_found");
    ada.get(&path).await.expect_problem(404, "person_not_found");
    ada.post(&format!("{path}/split"), json!({})).await.expect_problem(404, "person_not_found");
    let audited = "SELECT COUNT(*) AS number FROM audit_events WHERE action IN ('persons.split', 'persons.delete')
                   AND outcome = 'success'";
    assert_eq!(app.number(audited).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_of_others_is_not_found() {
    let (app, project) = app().await;
    let bob = signed_in(&app, BOB).await;
    capture(&app, &project, vec![event(&app, "page", "anon", 5, &json!({}))]).await;
    let ada = signed_in(&app, ADA).await;
    let base = format!("/api/projects/{}", project.id);
    let page = ada.get(&format!("{base}/persons")).await.expect(200).json();
    let path = format!("{base}/persons/{}", items(&page)[0]["id"].as_str().expect("an id"));
    for path in [&path, &format!("{base}/persons"), &format!("{base}/events"), &format!("{base}/warnings")] {
        bob.get(path).await.expect_problem(404, "project_not_found");
    }
    bob.delete(&path).await.expect_problem(404, "project_not_found");
    bob.post(&format!("{path}/split"), json!({})).await.expect_problem(404, "project_not_found");
    ada.get(&path).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_are_deleted_and_persons_stay() {
    let (app, project) = app().await;
    capture(&app, &project, vec![event(&app, "page", "anon", 5, &json!({}))]).await;
    app.advance(Duration::from_secs(app.kernel.config.persons.keep_events_seconds + 1));
    capture(&app, &project, vec![event(&app, "page", "late", 5, &json!({}))]).await;
    works::enqueue_one(&app, &SweepEvents { window: 1, step: 0 }).await;
    app.drain().await;
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM events").await, 1);
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM persons").await, 2);
}

/// However many events are old, one window deletes them, in bounded batches.
#[tokio::test(flavor = "multi_thread")]
async fn more_old_events_than_a_batch_are_deleted_in_one_window() {
    let (app, project) = app().await;
    for _ in 0..11 {
        capture(&app, &project, (0..1_000).map(|_| event(&app, "page", "anon", 5, &json!({}))).collect()).await;
    }
    app.advance(Duration::from_secs(app.kernel.config.persons.keep_events_seconds + 1));
    works::enqueue_one(&app, &SweepEvents { window: 1, step: 0 }).await;
    app.drain().await;
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM events").await, 0);
    let sweeps = "SELECT COUNT(*) AS number FROM jobs WHERE name = 'persons.sweep_events'";
    assert_eq!(app.number(sweeps).await, 3);
}

/// Events of a deleted person are nobody's: also when somebody else uses its id later.
#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_deleted_person_are_not_those_of_the_next_one() {
    let (app, project) = app().await;
    let ada = signed_in(&app, ADA).await;
    let base = format!("/api/projects/{}", project.id);
    let person = async || {
        let page = ada.get(&format!("{base}/persons?distinct_id=anon")).await.expect(200).json();
        items(&page).first().and_then(|person| person["id"].as_str()).map(str::to_owned)
    };
    capture(&app, &project, vec![event(&app, "before", "anon", 5, &json!({}))]).await;
    let first = person().await.expect("a person");
    ada.delete(&format!("{base}/persons/{first}")).await.expect(204);
    app.advance(Duration::from_secs(3_600));
    capture(&app, &project, vec![event(&app, "after", "anon", 5, &json!({}))]).await;
    let second = person().await.expect("someone else");
    assert_ne!(second, first);
    let page = ada.get(&format!("{base}/events")).await.expect(200).json();
    let of = |name: &str| items(&page).iter().find(|event| event["event"] == name).expect("an event")["person"].clone();
    assert_eq!((of("before"), &of("after")["id"]), (Value::Null, &json!(second)));
    let page = ada.get(&format!("{base}/events?person_id={second}")).await.expect(200).json();
    assert_eq!(items(&page).iter().map(|event| &event["event"]).collect::<Vec<_>>(), ["after"]);
}
