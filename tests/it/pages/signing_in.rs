//! Signing in by the pages: each outcome of the login that the API has, too.

use std::{iter, time::Duration};

use harness::{Authenticator, OTHER_PASSWORD};
use serde_json::json;
use shared::{rate_limit::Limit, users};

use super::{
    ADA, Answer, Caller, ME, PASSWORD, SESSION, Settings, TestApp, app_with, app_with_ada, enforcing, fill, person,
    sent_to, submit, walk,
};
use crate::passkey::{add, signed_in};

/// Sends the form of the sign-in page.
async fn try_password(browser: &Caller<'_>, email: &str, password: &str) -> Answer {
    let page = browser.get("/login?next=%2Faccount%3Ftab%3D1").await.expect(200);
    fill(browser, &page, &[("email", email), ("password", password)]).await
}

/// O05: a wrong password brings the form back with the address, without the password, and with the status of the API's
/// problem; whether there is such a user makes no difference.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_bring_the_form_back() {
    let app = app_with_ada().await;
    app.browser().sign_up_verified("bob@byron.test").await;
    users::disable(&app.kernel, app.user("bob@byron.test").await.id).await.unwrap();
    let browser = person(&app);
    let mut pages = Vec::new();
    for (email, password) in [
        (ADA, OTHER_PASSWORD),
        ("nobody@lovelace.test", OTHER_PASSWORD),
        ("bob@byron.test", PASSWORD),
        ("no address", PASSWORD),
    ] {
        let page = try_password(&browser, email, password).await.expect(401);
        assert!(page.text.contains("Invalid e-mail or password") && page.text.contains(&format!("value=\"{email}\"")));
        assert!(!page.text.contains(password), "{}", page.text);
        assert!(page.text.contains("value=\"&#x2f;account?tab=1\""), "{}", page.text);
        assert!(page.headers.get("set-cookie").is_none());
        pages.push(page.fingerprint().replace(email, "EMAIL"));
    }
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:#?}");
    let page = try_password(&browser, "\"><script>alert(1)</script>", "x").await.expect(401);
    assert!(page.text.contains("&lt;script&gt;") && !page.text.contains("<script"), "{}", page.text);
    let right = try_password(&browser, ADA, PASSWORD).await;
    assert!(sent_to(&right).starts_with("/login/email?"));
    app.drain().await;
}

/// O05: limits, lockout, single sign-on and overload hold on the page as they do in the API.
#[tokio::test(flavor = "multi_thread")]
async fn what_refuses_a_login_is_told_on_the_form() {
    let app = app_with(Settings::with(|config| {
        config.lockout.per_client = Limit { count: 1, per_seconds: 60 };
        config.domains = enforcing("byron.test", "google");
    }))
    .await;
    let browser = person(&app);
    let page = try_password(&browser, "anyone@byron.test", PASSWORD).await.expect(403);
    assert!(page.text.contains("sign in with google"), "{}", page.text);
    try_password(&browser, ADA, OTHER_PASSWORD).await.expect(401);
    let page = try_password(&browser, ADA, PASSWORD).await.expect(403);
    assert!(page.text.contains("Too many failed login attempts") && page.header("retry-after").is_some());
    app.drain().await;
    let held: Vec<_> = iter::from_fn(|| app.hasher.reserve().ok()).collect();
    let page = try_password(&person(&app), ADA, PASSWORD).await.expect(503);
    assert_eq!(
        (page.header("retry-after"), page.header("content-type")),
        (Some("1"), Some("text/html; charset=utf-8"))
    );
    drop(held);

    let app = app_with(Settings::with(|config| config.login.per_network = Limit { count: 1, per_seconds: 60 })).await;
    let browser = person(&app);
    try_password(&browser, ADA, OTHER_PASSWORD).await.expect(401);
    let page = try_password(&browser, ADA, PASSWORD).await.expect(429);
    let wait = page.header("retry-after").unwrap();
    assert!(page.text.contains(&format!("Try again in {wait} seconds.")), "{}", page.text);
}

/// O05: the mailed code: a wrong one can be tried again, the right one signs in with the cookies of the API, and a browser
/// that is trusted needs none the next time.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailed_code_finishes_the_login() {
    let app = app_with_ada().await;
    let browser = person(&app);
    let step = sent_to(&try_password(&browser, ADA, PASSWORD).await);
    app.drain().await;
    let code = harness::code_in(&app.mail_to(ADA).await.text);
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let page = browser.get(&step).await.expect(200);
    let page = fill(&browser, &page, &[("code", wrong)]).await.expect(401);
    assert!(page.text.contains("The code is wrong.") && !page.text.contains("gplt_"), "{}", page.text);
    // The login belongs to the browser that began it.
    fill(&person(&app), &page, &[("code", &code)]).await.expect(400);
    let answer = fill(&browser, &page, &[("code", &code), ("remember_device", "yes")]).await;
    assert_eq!(sent_to(&answer), "/account?tab=1");
    for cookie in [SESSION, "gatepost_device", "gatepost_known"] {
        assert!(answer.set_cookie(cookie).unwrap().contains("; HttpOnly"), "{cookie}");
    }
    assert!(answer.set_cookie("gatepost_login").unwrap().contains("Max-Age=0;"));
    browser.get(ME).await.expect(200);
    app.drain().await;
    submit(&browser, "/account/sign_out", &[]).await;
    assert_eq!(sent_to(&try_password(&browser, ADA, PASSWORD).await), "/account?tab=1");
    browser.get(ME).await.expect(200);
}

/// O05: who waits for the mail has another one sent from the page, once a minute; the code of the first is void then.
#[tokio::test(flavor = "multi_thread")]
async fn another_code_is_sent_from_the_page() {
    let app = app_with_ada().await;
    let browser = person(&app);
    let step = sent_to(&try_password(&browser, ADA, PASSWORD).await);
    app.drain().await;
    let first = harness::code_in(&app.mail_to(ADA).await.text);
    let page = browser.get(&step).await.expect(200);
    let early = fill(&browser, &page, &[("again", "yes")]).await.expect(429);
    let wait = early.header("retry-after").unwrap();
    assert!(early.text.contains(&format!("Try again in {wait} seconds.")), "{}", early.text);
    assert!(!early.text.contains("on its way."), "{}", early.text);

    app.advance(Duration::from_secs(60));
    // No other browser can have codes mailed.
    fill(&person(&app), &page, &[("again", "yes")]).await.expect(400);
    let page = fill(&browser, &page, &[("again", "yes")]).await.expect(200);
    assert!(page.text.contains("Another mail is on its way."), "{}", page.text);
    app.drain().await;
    let second = harness::code_in(&app.mail_to(ADA).await.text);
    if first != second {
        fill(&browser, &page, &[("code", &first)]).await.expect(401);
    }
    assert_eq!(sent_to(&fill(&browser, &page, &[("code", &second)]).await), "/account?tab=1");
    app.drain().await;
}

/// O05: whoever opens the link of the mail is signed in there, and finds the way to the account.
#[tokio::test(flavor = "multi_thread")]
async fn the_mailed_link_leads_to_the_account_too() {
    let app = app_with_ada().await;
    let browser = person(&app);
    try_password(&browser, ADA, PASSWORD).await;
    app.drain().await;
    let link = format!("/login/email?token={}", harness::token_in(&app.mail_to(ADA).await.text));
    let page = browser.get(&link).await.expect(200);
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "its address holds a secret");
    let page = fill(&browser, &page, &[]).await.expect(200);
    assert!(page.text.contains("You are signed in") && page.text.contains("href=\"/account\""), "{}", page.text);
    browser.get("/account").await.expect(200);
    app.drain().await;
}

/// O05: an address that was never proven gets its mail and no session.
#[tokio::test(flavor = "multi_thread")]
async fn an_unproven_address_is_told_to_look_into_the_mailbox() {
    let app = TestApp::new().await;
    app.browser().sign_up(ADA).await;
    let browser = person(&app);
    let page = try_password(&browser, ADA, PASSWORD).await.expect(200);
    assert!(page.text.contains("not confirmed yet"), "{}", page.text);
    assert_eq!(browser.cookie(SESSION), None);
    app.drain().await;
}

/// O05: the code of the app, in the one field, after a wrong one; its session has both factors.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_the_app_finishes_the_login() {
    let app = app_with_ada().await;
    let owner = app.browser();
    owner.log_in(ADA, PASSWORD).await;
    let (authenticator, _) = owner.enable_totp().await;
    let browser = person(&app);
    let step = sent_to(&try_password(&browser, ADA, PASSWORD).await);
    assert!(step.starts_with("/login/two_factor?login_id="), "{step}");
    let page = browser.get(&step).await.expect(200);
    assert!(page.text.contains("authenticator app, or one of your backup codes"), "{}", page.text);
    assert!(!page.text.contains("passkey"), "{}", page.text);
    let page = fill(&browser, &page, &[("code", "")]).await.expect(422);
    let code = authenticator.code(app.now());
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let page = fill(&browser, &page, &[("code", wrong)]).await.expect(401);
    assert!(page.text.contains("The code is wrong."), "{}", page.text);
    person(&app).get(&step).await.expect(400);
    fill(&person(&app), &page, &[("code", &code)]).await.expect(400);
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    let answer = fill(&browser, &page, &[("code", &spaced), ("remember_device", "yes")]).await;
    assert_eq!(sent_to(&answer), "/account?tab=1");
    let sessions = browser.get("/api/users/@me/sessions").await.expect(200).json();
    assert_eq!(sessions["items"][0]["amr"], json!(["pwd", "otp", "mfa"]));
    app.drain().await;
    submit(&browser, "/account/sign_out", &[]).await;
    assert_eq!(sent_to(&try_password(&browser, ADA, PASSWORD).await), "/account?tab=1", "the browser is trusted");
}

/// O05: a backup code in the same field, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_code_finishes_the_login_once() {
    let app = app_with_ada().await;
    let owner = app.browser();
    owner.log_in(ADA, PASSWORD).await;
    let (_, codes) = owner.enable_totp().await;
    for (expected, browser) in [(303, person(&app)), (401, person(&app))] {
        let step = sent_to(&try_password(&browser, ADA, PASSWORD).await);
        let page = browser.get(&step).await.expect(200);
        let answer = fill(&browser, &page, &[("code", &codes[0])]).await.expect(expected);
        assert_eq!(browser.cookie(SESSION).is_some(), expected == 303);
        assert!(!answer.text.contains(&codes[0]), "{}", answer.text);
    }
    app.drain().await;
}

/// O05: who has a passkey as only factor is told that the page cannot use it, and may use a backup code.
#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_has_a_backup_code_stand_in() {
    let app = TestApp::new().await;
    let owner = signed_in(&app, ADA).await;
    add(&app, &owner, &mut Authenticator::new(&app.origin())).await;
    let turned_on = json!({ "passkeys_enabled_for_2fa": true });
    let updated = owner.patch("/api/users/@me/two_factor", turned_on).await.expect(200).json();
    app.drain().await;
    let code = updated["backup_codes"][0].as_str().unwrap();
    let browser = person(&app);
    let step = sent_to(&try_password(&browser, ADA, PASSWORD).await);
    let page = browser.get(&step).await.expect(200);
    assert!(page.text.contains("cannot use your passkey") && page.text.contains("one of your backup codes"));
    assert!(!page.text.contains("remember_device"), "a backup code makes no browser a trusted one");
    assert_eq!(sent_to(&fill(&browser, &page, &[("code", code)]).await), "/account?tab=1");
    app.drain().await;
    // Without backup codes the page has no form, and no dead end.
    app.execute("DELETE FROM backup_codes").await;
    let browser = person(&app);
    let step = sent_to(&try_password(&browser, ADA, PASSWORD).await);
    let page = browser.get(&step).await.expect(200);
    assert!(!page.text.contains("<form") && page.text.contains("No backup codes are left"), "{}", page.text);
}

/// O05: a login that took too long says so, and leads to the sign-in page.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_over_leads_back_to_the_start() {
    let app = app_with_ada().await;
    let owner = app.browser();
    owner.log_in(ADA, PASSWORD).await;
    let (authenticator, _) = owner.enable_totp().await;
    let browser = person(&app);
    let step = sent_to(&try_password(&browser, ADA, PASSWORD).await);
    let page = browser.get(&step).await.expect(200);
    app.advance(Duration::from_secs(app.kernel.config.login.two_factor_seconds));
    for over in [
        browser.get(&step).await.expect(400),
        fill(&browser, &page, &[("code", &authenticator.code(app.now()))]).await.expect(400),
    ] {
        assert!(over.text.contains("Login attempt expired") && over.text.contains("href=\"/login\""), "{}", over.text);
    }
    browser.get("/login/two_factor?login_id=x").await.expect(400);
    assert_eq!(browser.cookie(SESSION), None);
}

/// O05: signing in on a page ends the session that the browser had, as it does in the API.
#[tokio::test(flavor = "multi_thread")]
async fn signing_in_replaces_the_session_of_the_browser() {
    let app = app_with_ada().await;
    let browser = person(&app);
    walk(&app, &browser, "/login", &[]).await;
    let before = browser.cookie(SESSION).unwrap();
    let again = submit(&browser, "/login", &[("email", ADA), ("password", PASSWORD)]).await;
    assert_eq!(sent_to(&again), "/account");
    assert_ne!(browser.cookie(SESSION).unwrap(), before);
    let old = person(&app);
    old.set_cookie(SESSION, &before);
    old.get(ME).await.expect_problem(401, "unauthenticated");
}
