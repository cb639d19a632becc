//! A new password by mail.

#![expect(clippy::expect_used, reason = "test code")]

mod completion;
mod links;
mod requests;
mod sso;

use harness::{Answer, Caller, TestApp, token_in};
use serde_json::json;
use shared::recovery;

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@byron.test";
const SESSION: &str = "gatepost_session";
const FRESH_PASSWORD: &str = "seven-lamps-below-water";
const JOB: &str = "recovery.send_reset_link";

async fn app_with_ada() -> TestApp {
    let app = TestApp::new().await;
    app.browser().sign_up_verified(ADA).await;
    app
}

async fn request(caller: &Caller<'_>, email: &str) -> Answer {
    caller.post("/api/reset", json!({ "email": email })).await
}

async fn validate(caller: &Caller<'_>, token: &str) -> Answer {
    caller.post("/api/reset/validate", json!({ "token": token })).await
}

async fn complete(caller: &Caller<'_>, token: &str, password: &str) -> Answer {
    caller.post("/api/reset/complete", json!({ "token": token, "password": password })).await
}

async fn try_password(caller: &Caller<'_>, email: &str, password: &str) -> Answer {
    caller.post("/api/login", json!({ "email": email, "password": password })).await
}

/// The token of the newest reset link that this address got.
async fn mailed_token(app: &TestApp, email: &str) -> String {
    let mails = app.mails().await;
    let newest = mails.into_iter().find(|mail| mail.to == email && mail.text.contains("/reset?token="));
    token_in(&newest.expect("a mail with a link").text)
}

/// Requests a link from a network of its own, and reads it from the mail.
async fn new_token(app: &TestApp, email: &str) -> String {
    request(&app.browser(), email).await.expect(204);
    app.drain().await;
    mailed_token(app, email).await
}

/// How many of an address' mails have a reset link.
async fn count_links(app: &TestApp, email: &str) -> usize {
    app.mails().await.iter().filter(|mail| mail.to == email && mail.text.contains("/reset?token=")).count()
}

/// Refused alike by every way to present it.
async fn assert_dead(app: &TestApp, token: &str) {
    let browser = app.browser();
    validate(&browser, token).await.expect_problem(400, "invalid_token");
    complete(&browser, token, FRESH_PASSWORD).await.expect_problem(400, "invalid_token");
    browser.post_form("/reset", &format!("token={token}&password={FRESH_PASSWORD}")).await.expect(400);
    assert!(recovery::validate(&app.kernel, token).await.is_err());
}
