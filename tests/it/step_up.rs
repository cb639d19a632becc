//! Step-up: a fresh proof of identity for what is sensitive.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use harness::{Caller, OTHER_PASSWORD, PASSWORD, Settings, TestApp};
use serde_json::json;
use shared::{audit, rate_limit::Limit};

const ADA: &str = "ada@lovelace.test";
const REAUTHENTICATE: &str = "/api/users/@me/reauthenticate";
const SESSION: &str = "gatepost_session";

async fn signed_in(app: &TestApp) -> Caller<'_> {
    let browser = app.browser();
    browser.sign_up_verified(ADA).await;
    browser.log_in(ADA, PASSWORD).await;
    browser
}

/// The same cookie in another browser.
fn copy_of<'a>(app: &'a TestApp, browser: &Caller<'_>) -> Caller<'a> {
    let copy = app.browser();
    copy.set_cookie(SESSION, &browser.cookie(SESSION).unwrap());
    copy
}

/// O10, T-SESS-07: two hours after the last proof a sensitive change is refused, and a fresh proof allows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sensitive_change_needs_a_proof_of_the_last_two_hours() {
    let app = TestApp::new().await;
    let browser = signed_in(&app).await;
    let change = json!({ "email": "countess@lovelace.test" });
    app.advance(Duration::from_secs(7100));
    browser.patch("/api/users/@me", change.clone()).await.expect(200);
    app.drain().await;
    app.advance(Duration::from_secs(100));
    browser.patch("/api/users/@me", change.clone()).await.expect_problem(403, "sensitive_action_required_reauth");
    browser.post(REAUTHENTICATE, json!({ "password": PASSWORD })).await.expect(200);
    browser.patch("/api/users/@me", change).await.expect(200);
    app.drain().await;
}

/// A12: a proof replaces the token of the session; whoever copied the old one is out, the session goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_replaces_the_token_of_the_session() {
    let app = TestApp::new().await;
    let browser = signed_in(&app).await;
    let sessions = app.number("SELECT COUNT(*) AS number FROM sessions").await;
    let copy = copy_of(&app, &browser);
    copy.get("/api/users/@me").await.expect(200);
    app.advance(Duration::from_secs(1000));
    let answer = browser.post(REAUTHENTICATE, json!({ "password": PASSWORD })).await.expect(200);
    let cookie = answer.set_cookie(SESSION).unwrap();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Lax"), "{cookie}");
    let age = cookie.split("; ").find_map(|part| part.strip_prefix("Max-Age=")).unwrap();
    assert!((7_774_900..=7_775_000).contains(&age.parse().unwrap()), "the end stays where it was: {cookie}");
    assert!(answer.json().get("token").is_none(), "{}", answer.text);
    assert_eq!(answer.json()["amr"], json!(["pwd", "email"]));
    browser.get("/api/users/@me").await.expect(200);
    copy.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM sessions").await, sessions);
    let rows = audit::list(app.kernel.db.reader(), "step_up.reauthenticate", 10).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>(), ["success"]);
}

/// A12: of two proofs with one token, one counts; the other has no session any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_replaced_once() {
    let app = TestApp::new().await;
    let browser = signed_in(&app).await;
    let copy = copy_of(&app, &browser);
    let proof = || json!({ "password": PASSWORD });
    let (first, second) = tokio::join!(browser.post(REAUTHENTICATE, proof()), copy.post(REAUTHENTICATE, proof()));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

/// A12: a bearer session gets its new token in the body.
#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_session_gets_its_new_token_in_the_body() {
    let app = TestApp::new().await;
    let browser = signed_in(&app).await;
    let credentials = json!({ "email": ADA, "password": PASSWORD, "session_transport": "token" });
    let login = browser.post("/api/login", credentials).await.expect(200).json();
    let before = login["session"]["token"].as_str().unwrap().to_owned();
    let answer = app.browser().bearer(&before).post(REAUTHENTICATE, json!({ "password": PASSWORD })).await.expect(200);
    assert_eq!(answer.set_cookie(SESSION), None);
    let after = answer.json()["token"].as_str().unwrap().to_owned();
    assert_ne!(after, before);
    app.browser().bearer(&after).get("/api/users/@me").await.expect(200);
    app.browser().bearer(&before).get("/api/users/@me").await.expect(401);
}

/// O10: a wrong proof changes nothing and is audited; tries are counted before they are verified.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_proofs_change_nothing_and_are_counted() {
    let limit = Limit { count: 3, per_seconds: 600 };
    let app = TestApp::with(Settings::with(move |config| config.sessions.reauthenticate_per_user = limit)).await;
    let browser = signed_in(&app).await;
    let token = browser.cookie(SESSION);
    app.advance(Duration::from_secs(7300));
    let nothing = browser.post(REAUTHENTICATE, json!({})).await;
    assert_eq!(nothing.expect_problem(422, "validation_failed")["errors"][0]["code"], "required");
    for _ in 0..3 {
        let refused = browser.post(REAUTHENTICATE, json!({ "password": OTHER_PASSWORD })).await;
        assert_eq!(refused.expect_problem(422, "validation_failed")["errors"][0]["code"], "incorrect_password");
        assert_eq!(refused.set_cookie(SESSION), None);
    }
    let hashes = app.hasher.computed();
    browser.post(REAUTHENTICATE, json!({ "password": PASSWORD })).await.expect_problem(429, "throttled");
    assert_eq!(app.hasher.computed(), hashes);
    assert_eq!(browser.cookie(SESSION), token);
    let change = json!({ "email": "countess@lovelace.test" });
    browser.patch("/api/users/@me", change).await.expect_problem(403, "sensitive_action_required_reauth");
    let rows = audit::list(app.kernel.db.reader(), "step_up.reauthenticate", 10).await.unwrap();
    // The form without a proof is one, too.
    assert_eq!(rows.iter().filter(|row| row.outcome == "failure").count(), 4);
}
