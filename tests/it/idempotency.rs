//! Requests that are sent again.

use std::time::Duration;

use futures_util::future::join_all;
use harness::{Caller, PASSWORD, Settings, TestApp, UNLIMITED};
use serde_json::{Value, json};
use shared::{idempotency, jobs::JobState};

const ADA: &str = "ada@lovelace.test";
const KEYS: &str = "/api/users/@me/api_keys";

async fn signed_in<'a>(app: &'a TestApp, email: &str) -> Caller<'a> {
    let browser = app.browser();
    browser.sign_up_verified(email).await;
    browser.log_in(email, PASSWORD).await;
    browser
}

fn sign_up(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD })
}

async fn sends(app: &TestApp) -> usize {
    app.count_jobs("email_verification.send_verification", JobState::Queued).await
}

/// T-JOB-12: a repetition has no second effect and gets the same answer, secrets that are shown once included.
#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_gets_the_same_answer_and_has_no_effect() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await.header("idempotency-key", "a7f1");
    let body = json!({ "label": "deploy", "scopes": ["*"] });
    let first = browser.post(KEYS, body.clone()).await.expect(201);
    let again = browser.post(KEYS, body.clone()).await.expect(201);
    assert_eq!(first.text, again.text);
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    assert_eq!(browser.get(KEYS).await.json()["items"].as_array().unwrap().len(), 1);
    let value = first.json()["value"].as_str().unwrap().to_owned();
    assert!(!app.dump().await.contains(&value), "kept in plain");
    app.drain().await;
    assert_eq!(app.mails_about(ADA, "An API key was created").await.len(), 1);
    // Other gateways know it, and other bodies are refused.
    let other = app.another_gateway().await;
    let copy = app.browser().header("idempotency-key", "a7f1").through(&other);
    copy.set_cookie("gatepost_session", &browser.cookie("gatepost_session").unwrap());
    assert_eq!(copy.post(KEYS, body.clone()).await.expect(201).text, first.text);
    let changed = json!({ "label": "other", "scopes": ["*"] });
    copy.post(KEYS, changed).await.expect_problem(409, "idempotency_key_reused");
}

/// T-JOB-12: of ten at the same time one has an effect, and all get its answer.
#[tokio::test(flavor = "multi_thread")]
async fn ten_at_once_have_one_effect() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await.header("idempotency-key", "once");
    let body = json!({ "label": "deploy", "scopes": ["*"] });
    let answers = join_all((0..10).map(|_| browser.post(KEYS, body.clone()))).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (201, &answers[0].text));
    }
    assert_eq!(browser.get(KEYS).await.json()["items"].as_array().unwrap().len(), 1);
    app.drain().await;
}

/// T-JOB-12: a key belongs to the caller and to the operation; strangers share none.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_the_callers_own() {
    let settings = Settings::with(|config| config.email_verification.signup_per_network = UNLIMITED);
    let app = TestApp::with(settings).await;
    app.browser().sign_up_verified(ADA).await;
    let stranger = |ip: &str| app.browser_at(ip).header("idempotency-key", "1");
    let before = sends(&app).await;
    let first = stranger("192.0.2.1").post("/api/signup", sign_up("bob@lovelace.test")).await.expect(202);
    let again = stranger("192.0.2.1").post("/api/signup", sign_up("bob@lovelace.test")).await.expect(202);
    assert_eq!(first.text, again.text);
    let reused = stranger("192.0.2.1").post("/api/signup", sign_up("eve@lovelace.test")).await;
    reused.expect_problem(409, "idempotency_key_reused");
    let other = stranger("192.0.2.2").post("/api/signup", sign_up("eve@lovelace.test")).await.expect(202);
    assert_eq!(other.header("idempotency-replayed"), None);
    assert_eq!(sends(&app).await - before, 2);
    app.drain().await;
    stranger("192.0.2.1").post("/api/reset", json!({ "email": ADA })).await.expect(204);
    app.drain().await;
}

/// T-JOB-12: what failed is tried again in earnest, and what is no key is refused.
#[tokio::test(flavor = "multi_thread")]
async fn failures_are_not_kept_and_bad_keys_refused() {
    let app = TestApp::with(Settings::with(|config| config.api_keys.max_per_user = 1)).await;
    let browser = signed_in(&app, ADA).await;
    let body = json!({ "label": "deploy", "scopes": ["*"] });
    let only = browser.post(KEYS, body.clone()).await.expect(201).json();
    let careful = app.browser().header("idempotency-key", "later");
    careful.set_cookie("gatepost_session", &browser.cookie("gatepost_session").unwrap());
    careful.post(KEYS, body.clone()).await.expect_problem(400, "too_many_api_keys");
    browser.delete(&format!("{KEYS}/{}", only["id"].as_str().unwrap())).await.expect(204);
    careful.post(KEYS, body.clone()).await.expect(201);
    app.drain().await;
    for bad in ["", "a b", &"x".repeat(129)] {
        let caller = app.browser().header("idempotency-key", bad);
        caller.post("/api/signup", sign_up("x@lovelace.test")).await.expect_problem(400, "invalid_idempotency_key");
    }
    let twice = app.browser().header("idempotency-key", "a").header("idempotency-key", "b");
    twice.post("/api/signup", sign_up("x@lovelace.test")).await.expect_problem(400, "invalid_idempotency_key");
}

/// T-JOB-12: an answer that was kept for a session is not for whoever holds its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_gets_no_answers() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await.header("idempotency-key", "k");
    let body = json!({ "label": "deploy", "scopes": ["*"] });
    browser.post(KEYS, body.clone()).await.expect(201);
    let cookie = browser.cookie("gatepost_session").unwrap();
    browser.post("/api/logout", json!({})).await.expect(204);
    let copy = app.browser().header("idempotency-key", "k");
    copy.set_cookie("gatepost_session", &cookie);
    copy.post(KEYS, body).await.expect_problem(401, "unauthenticated");
    app.drain().await;
}

/// T-JOB-12: kept answers go when they are too old.
#[tokio::test(flavor = "multi_thread")]
async fn kept_answers_are_swept() {
    let app = TestApp::new().await;
    let caller = app.browser().header("idempotency-key", "k");
    caller.post("/api/signup", sign_up(ADA)).await.expect(202);
    app.drain().await;
    let count = async || app.number("SELECT COUNT(*) AS number FROM idempotency_keys").await;
    assert_eq!(idempotency::sweep(app.kernel.db.writer(), app.now(), 100).await.unwrap(), 0);
    assert_eq!(count().await, 1);
    app.advance(Duration::from_secs(24 * 3600 + 1));
    harness::works::enqueue_one(&app, &idempotency::SweepIdempotencyKeys { window: 1 }).await;
    app.drain().await;
    assert_eq!(count().await, 0);
    let fresh = caller.post("/api/signup", sign_up(ADA)).await.expect(202);
    assert_eq!(fresh.header("idempotency-replayed"), None);
    app.drain().await;
}
