//! How long a browser may be trusted.

use std::time::Duration;

use harness::{Caller, PASSWORD, TestApp, code_in};
use serde_json::json;

use super::{BOB, FIRST, app, signed_in};

const DEVICE: &str = "gatepost_device";
const DAY: u64 = 86_400;

/// Signs in and asks to be trusted; returns the cookie's line, if one was set.
async fn trust(app: &TestApp, browser: &Caller<'_>) -> Option<String> {
    let pending = browser.begin_login(BOB, PASSWORD).await;
    let code = code_in(&app.mail_to(BOB).await.text);
    let body = json!({ "login_id": pending["login_id"], "code": code, "remember_device": true });
    let answer = browser.post("/api/login/email_mfa", body).await.expect(200);
    app.drain().await;
    answer.set_cookie(DEVICE)
}

/// Signs out and in again; returns what came after the password.
async fn again(app: &TestApp, browser: &Caller<'_>) -> String {
    browser.post("/api/logout", json!({})).await;
    let login = browser.post("/api/login", json!({ "email": BOB, "password": PASSWORD })).await.expect(200).json();
    app.drain().await;
    login["status"].as_str().unwrap_or_default().to_owned()
}

/// K06: nobody is remembered who does not ask for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_not_trusted_unless_it_asks() {
    let app = app().await;
    let browser = signed_in(&app, BOB).await;
    assert_eq!(browser.cookie(DEVICE), None);
    assert_eq!(again(&app, &browser).await, "email_mfa_required");
}

/// K06: an organization forbids it; trust from before is not taken while it does.
#[tokio::test(flavor = "multi_thread")]
async fn an_organization_forbids_to_trust_browsers() {
    let app = app().await;
    let browser = app.browser();
    assert!(trust(&app, &browser).await.is_some());
    assert_eq!(again(&app, &browser).await, "signed_in");
    app.set_policy(FIRST, "trusted_device_seconds = 0").await;
    assert_eq!(again(&app, &browser).await, "email_mfa_required");
    let other = app.browser();
    assert_eq!(trust(&app, &other).await, None);
    assert_eq!(other.cookie(DEVICE), None);
    assert_eq!(app.row_counts().await["trusted_devices"], 1);
    let listed = other.get("/api/users/@me/trusted_devices").await.expect(200).json();
    assert_eq!(listed["items"], json!([]));
    app.set_policy(FIRST, "trusted_device_seconds = NULL").await;
    assert_eq!(again(&app, &browser).await, "signed_in");
    assert_eq!(again(&app, &other).await, "email_mfa_required");
}

/// K06: an organization shortens it, for trust from before as well; it cannot prolong it.
#[tokio::test(flavor = "multi_thread")]
async fn an_organization_shortens_the_trust_in_browsers() {
    let app = app().await;
    let browser = app.browser();
    trust(&app, &browser).await;
    app.advance(Duration::from_secs(2 * DAY));
    assert_eq!(again(&app, &browser).await, "signed_in");
    app.set_policy(FIRST, &format!("trusted_device_seconds = {DAY}")).await;
    assert_eq!(again(&app, &browser).await, "email_mfa_required");
    let other = app.browser();
    let cookie = trust(&app, &other).await.unwrap();
    assert!(cookie.contains(&format!("Max-Age={DAY};")), "{cookie}");
    assert_eq!(again(&app, &other).await, "signed_in");
    app.set_policy(FIRST, &format!("trusted_device_seconds = {}", 900 * DAY)).await;
    assert_eq!(again(&app, &browser).await, "signed_in");
    app.advance(Duration::from_secs(28 * DAY));
    assert_eq!(again(&app, &browser).await, "email_mfa_required");
}
