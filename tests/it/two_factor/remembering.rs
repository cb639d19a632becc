//! Remembered browsers: what their cookie is worth, and what ends it.

use harness::{OTHER_PASSWORD, token_in};

use super::{ADA, BOB, Caller, Duration, PASSWORD, STEP, TestApp, app_with_ada, enrolled, json};

const DEVICE: &str = "gatepost_device";

/// Signs in with the app's code and asks to be remembered. The clock moves on, so that the app shows another code.
async fn remember(app: &TestApp, browser: &Caller<'_>, email: &str, code: &str) {
    let pending = browser.begin_two_factor(email).await;
    let proof = json!({ "login_id": pending["login_id"], "code": code, "remember_device": true });
    browser.post(STEP, proof).await.expect(200);
    app.drain().await;
    app.advance(Duration::from_secs(60));
}

async fn next_step(browser: &Caller<'_>, email: &str, password: &str) -> String {
    let credentials = json!({ "email": email, "password": password });
    let login = browser.post("/api/login", credentials).await.expect(200).json();
    login["status"].as_str().unwrap().to_owned()
}

/// K03, W35: an expired, altered or foreign cookie is no cookie: the step is asked for, and nothing fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_that_is_not_good_is_none() {
    let (app, authenticator) = app_with_ada().await;
    let browser = app.browser();
    remember(&app, &browser, ADA, &authenticator.code(app.now())).await;
    let good = browser.cookie(DEVICE).unwrap();
    let altered = format!("{}{}", &good[..good.len() - 1], if good.ends_with('A') { 'B' } else { 'A' });
    let of_another_server = format!("gpdv_{}", "x".repeat(43));
    let long = "x".repeat(3000);
    for cookie in ["", "gpdv_", "%00", "signed:by:another:key", &altered, &of_another_server, &long, &good[5..]] {
        browser.clear_cookies();
        browser.set_cookie(DEVICE, cookie);
        assert_eq!(next_step(&browser, ADA, PASSWORD).await, "two_factor_required", "{cookie}");
    }
    browser.clear_cookies();
    browser.set_cookie(DEVICE, &good);
    assert_eq!(next_step(&browser, ADA, PASSWORD).await, "signed_in");
    app.advance(Duration::from_secs(30 * 24 * 3600 - 120));
    assert_eq!(next_step(&browser, ADA, PASSWORD).await, "signed_in");
    app.advance(Duration::from_secs(120));
    assert_eq!(next_step(&browser, ADA, PASSWORD).await, "two_factor_required");
}

/// K05: a new password, by change or by reset, and a change of factors end every trust.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_changes_a_factor_ends_the_trust() {
    let (app, authenticator) = app_with_ada().await;
    let (owner, other) = (app.browser(), app.browser());
    let code = || authenticator.code(app.now());
    remember(&app, &owner, ADA, &code()).await;
    remember(&app, &other, ADA, &code()).await;
    let change = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
    owner.post("/api/users/@me/password", change).await.expect(204);
    for browser in [&owner, &other] {
        assert_eq!(next_step(browser, ADA, OTHER_PASSWORD).await, "two_factor_required");
    }
    app.drain().await;

    let change = json!({ "current_password": OTHER_PASSWORD, "new_password": PASSWORD });
    owner.post("/api/users/@me/password", change).await.expect(204);
    remember(&app, &other, ADA, &code()).await;
    other.post("/api/reset", json!({ "email": ADA })).await.expect(204);
    app.drain().await;
    let reset_token = token_in(&app.mail_to(ADA).await.text);
    let wish = json!({ "token": reset_token, "password": OTHER_PASSWORD });
    app.browser().post("/api/reset/complete", wish).await.expect(200);
    assert_eq!(next_step(&other, ADA, OTHER_PASSWORD).await, "two_factor_required");
    app.drain().await;

    let pending = other.post("/api/login", json!({ "email": ADA, "password": OTHER_PASSWORD })).await.json();
    let proof = json!({ "login_id": pending["two_factor"]["login_id"], "code": code(), "remember_device": true });
    other.post(STEP, proof).await.expect(200);
    assert_eq!(next_step(&other, ADA, OTHER_PASSWORD).await, "signed_in");
    app.advance(Duration::from_secs(60));
    let admin = app.browser();
    let pending = admin.post("/api/login", json!({ "email": ADA, "password": OTHER_PASSWORD })).await.json();
    let proof = json!({ "login_id": pending["two_factor"]["login_id"], "code": code() });
    admin.post(STEP, proof).await.expect(200);
    admin.delete("/api/users/@me/two_factor/totp").await.expect(204);
    assert_eq!(next_step(&other, ADA, OTHER_PASSWORD).await, "email_mfa_required");
    app.drain().await;
}

/// K07, W18: a browser that is remembered again has one cookie and one row, and a browser of two users has no pile of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_remembered_once() {
    let (app, authenticator) = app_with_ada().await;
    let (bobs, _) = enrolled(&app, BOB).await;
    let browser = app.browser();
    remember(&app, &browser, ADA, &authenticator.code(app.now())).await;
    let first = browser.cookie(DEVICE).unwrap();
    // Asked again only without its trust; the row before it ends with the new one.
    for _ in 0..3 {
        app.advance(Duration::from_secs(30 * 24 * 3600));
        remember(&app, &browser, ADA, &authenticator.code(app.now())).await;
    }
    let live = app.now().0;
    let count =
        format!("SELECT COUNT(*) AS number FROM trusted_devices WHERE revoked_at IS NULL AND expires_at > {live}");
    assert_eq!(app.number(&count).await, 1);
    assert_ne!(browser.cookie(DEVICE).unwrap(), first);
    let page = browser.get("/api/users/@me/trusted_devices").await.expect(200).json();
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
    remember(&app, &browser, BOB, &bobs.code(app.now())).await;
    let cookie = browser.cookie(DEVICE).unwrap();
    assert!(cookie.len() < 64, "one value, whoever used the browser: {cookie}");
    assert_eq!(app.number(&count).await, 2);
}
