//! Devices: what a user hears of new ones, and what they can do about trusted ones.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

use std::time::Duration;

use futures_util::future::join_all;
use harness::{Caller, OTHER_PASSWORD, PASSWORD, Settings, TestApp, code_in, token_in};
use poem::http::Method;
use serde_json::{Value, json};
use shared::config::load_from;

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@byron.test";
const KNOWN: &str = "gatepost_known";
const DEVICE: &str = "gatepost_device";
const SUBJECT: &str = "New sign-in to your account";
const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

async fn app() -> TestApp {
    let app = TestApp::new().await;
    for email in [ADA, BOB] {
        app.browser().sign_up_verified(email).await;
    }
    app
}

/// How many notices of a new device went to an address.
async fn notices(app: &TestApp, email: &str) -> usize {
    app.drain().await;
    app.mails().await.iter().filter(|mail| mail.to == email && mail.subject == SUBJECT).count()
}

/// Signs in as a client that keeps a token and no cookies.
async fn log_in_with_token(app: &TestApp, client: &Caller<'_>, email: &str) -> String {
    let wish = json!({ "email": email, "password": PASSWORD, "session_transport": "token" });
    let pending = client.post("/api/login", wish).await.expect(200).json()["email_mfa"].clone();
    app.drain().await;
    let code = code_in(&app.mail_to(email).await.text);
    let body = json!({ "login_id": pending["login_id"], "login_token": pending["login_token"], "code": code });
    let answer = client.post("/api/login/email_mfa", body).await.expect(200);
    assert_eq!(answer.header("set-cookie"), None);
    app.drain().await;
    answer.json()["session"]["token"].as_str().expect("a token").to_owned()
}

/// Signs in and asks to be trusted.
async fn trust(app: &TestApp, browser: &Caller<'_>, email: &str) {
    let pending = browser.begin_login(email, PASSWORD).await;
    let code = code_in(&app.mail_to(email).await.text);
    let body = json!({ "login_id": pending["login_id"], "code": code, "remember_device": true });
    browser.post("/api/login/email_mfa", body).await.expect(200);
    app.drain().await;
}

async fn devices(browser: &Caller<'_>) -> Vec<Value> {
    let page = browser.get("/api/users/@me/trusted_devices").await.expect(200).json();
    page["items"].as_array().expect("items").clone()
}

/// Q02, T-SESS-10: none for the first login ever, one for a new device, none for it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_device_is_told_once() {
    let app = app().await;
    let (first, second) = (app.browser_at("203.0.113.1"), app.browser_at("203.0.113.2").user_agent(CHROME));
    first.log_in(ADA, PASSWORD).await;
    assert_eq!(notices(&app, ADA).await, 0);
    second.log_in(ADA, PASSWORD).await;
    assert_eq!(notices(&app, ADA).await, 1);
    for browser in [&first, &second] {
        browser.post("/api/logout", json!({})).await.expect(204);
        app.advance(Duration::from_secs(86_400));
        browser.log_in(ADA, PASSWORD).await;
    }
    assert_eq!(notices(&app, ADA).await, 1);
    // Whoever else signs in there is at a new device of theirs, and does not make it forget the other.
    app.browser().log_in(BOB, PASSWORD).await;
    second.log_in(BOB, PASSWORD).await;
    second.log_in(ADA, PASSWORD).await;
    assert_eq!((notices(&app, ADA).await, notices(&app, BOB).await), (1, 1));
}

/// Q02: known for two years, not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_known_for_two_years() {
    let app = app().await;
    let browser = app.browser();
    browser.log_in(ADA, PASSWORD).await;
    app.advance(Duration::from_secs(63_072_000 - 60));
    browser.log_in(ADA, PASSWORD).await;
    assert_eq!(notices(&app, ADA).await, 0);
    app.advance(Duration::from_secs(63_072_000));
    browser.log_in(ADA, PASSWORD).await;
    assert_eq!(notices(&app, ADA).await, 1);
}

/// Q02: signing in again on a live session says nothing new.
#[tokio::test(flavor = "multi_thread")]
async fn re_authentication_is_not_told() {
    let app = app().await;
    app.browser_at("203.0.113.1").log_in(ADA, PASSWORD).await;
    let browser = app.browser_at("203.0.113.2");
    browser.log_in(ADA, PASSWORD).await;
    let session = browser.cookie("gatepost_session").expect("a session");
    app.advance(Duration::from_secs(3600));
    // The same session, in a browser that is not known by a cookie.
    let bare = app.browser_at("203.0.113.3");
    bare.set_cookie("gatepost_session", &session);
    let login = bare.post("/api/login", json!({ "email": ADA, "password": PASSWORD })).await.expect(200).json();
    assert_eq!(login["status"], "signed_in");
    assert_eq!(notices(&app, ADA).await, 1);
}

/// Q03, T-SESS-10, W26: two logins of one new device at the same moment are told once.
#[tokio::test(flavor = "multi_thread")]
async fn logins_at_once_of_one_new_device_are_told_once() {
    let app = app().await;
    app.browser_at("203.0.113.1").log_in(ADA, PASSWORD).await;
    // Two windows of a browser, neither of which has seen the other's answer.
    let windows = [app.browser_at("203.0.113.2"), app.browser_at("203.0.113.2")];
    let mut proofs = Vec::new();
    for window in &windows {
        let pending = window.begin_login(ADA, PASSWORD).await;
        let code = code_in(&app.mail_to(ADA).await.text);
        proofs.push(json!({ "login_id": pending["login_id"], "code": code }));
    }
    let logins = windows.iter().zip(proofs).map(|(window, proof)| window.post("/api/login/email_mfa", proof));
    for answer in join_all(logins).await {
        answer.expect(200);
    }
    assert_eq!(notices(&app, ADA).await, 1);
}

/// Q04: a browser that travels is the same browser.
#[tokio::test(flavor = "multi_thread")]
async fn another_address_alone_is_not_told() {
    let app = app().await;
    let browser = app.browser_at("203.0.113.1");
    browser.log_in(ADA, PASSWORD).await;
    let known = browser.cookie(KNOWN).expect("a cookie");
    app.advance(Duration::from_secs(3600));
    let elsewhere = app.browser_at("198.51.100.7").user_agent(CHROME);
    elsewhere.set_cookie(KNOWN, &known);
    elsewhere.log_in(ADA, PASSWORD).await;
    assert_eq!(notices(&app, ADA).await, 0);
}

/// Q02: a client without cookies is known by network and program for a month.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_cookies_is_known_by_its_fingerprint() {
    let app = app().await;
    let client = app.browser_at("203.0.113.1").plain();
    log_in_with_token(&app, &client, ADA).await;
    app.advance(Duration::from_secs(29 * 86_400));
    log_in_with_token(&app, &client, ADA).await;
    assert_eq!(notices(&app, ADA).await, 0);
    log_in_with_token(&app, &app.browser_at("203.0.113.1").user_agent("tool/2").plain(), ADA).await;
    assert_eq!(notices(&app, ADA).await, 1);
    app.advance(Duration::from_secs(31 * 86_400));
    log_in_with_token(&app, &client, ADA).await;
    assert_eq!(notices(&app, ADA).await, 2);
    assert!(!app.dump().await.lines().any(|line| line.starts_with("known_devices") && line.contains("203.0.113")));
}

/// Q02: the cookie has the strictest attributes, and the database its digest only.
#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_of_a_known_device_is_safe_to_lose_a_table_over() {
    let https = Settings::with(|config| config.http.public_url = "https://auth.example.com".parse().expect("a URL"));
    let app = TestApp::with(https).await;
    app.browser().sign_up_verified(ADA).await;
    let browser = app.browser();
    let pending = browser.begin_login(ADA, PASSWORD).await;
    let code = code_in(&app.mail_to(ADA).await.text);
    let body = json!({ "login_id": pending["login_id"], "code": code });
    let answer = browser.post("/api/login/email_mfa", body).await.expect(200);
    let line = answer.set_cookie("__Host-gatepost_known").expect("a cookie");
    assert!(line.ends_with("; Path=/; Max-Age=63072000; HttpOnly; SameSite=Lax; Secure"), "{line}");
    let value = browser.cookie("__Host-gatepost_known").expect("a cookie");
    assert!(value.starts_with("gpkd_") && !app.dump().await.contains(&value));
}

/// Q02, T-LOGIN-09: a cookie that somebody planted does not make their device known.
#[tokio::test(flavor = "multi_thread")]
async fn a_planted_cookie_is_replaced() {
    let app = app().await;
    let attacker = app.browser_at("203.0.113.66");
    attacker.log_in(BOB, PASSWORD).await;
    let planted = attacker.cookie(KNOWN).expect("a cookie");
    let victim = app.browser_at("203.0.113.1");
    for value in [planted.as_str(), "gpkd_x", "", "a.b.c"] {
        victim.set_cookie(KNOWN, value);
        victim.log_in(ADA, PASSWORD).await;
        victim.post("/api/logout", json!({})).await.expect(204);
        app.advance(Duration::from_secs(3600));
    }
    let told = notices(&app, ADA).await;
    // Still unknown to the victim's account.
    attacker.log_in(ADA, PASSWORD).await;
    assert_eq!(notices(&app, ADA).await, told + 1);
}

/// Q05: when, from where, with what and how; and a link that ends everything once its button is pressed.
#[tokio::test(flavor = "multi_thread")]
async fn the_notice_has_a_link_that_ends_everything() {
    let app = app().await;
    let owner = app.browser_at("203.0.113.1");
    trust(&app, &owner, ADA).await;
    let stranger = app.browser_at("198.51.100.7").user_agent(CHROME);
    trust(&app, &stranger, ADA).await;
    let mail = app.mail_to(ADA).await;
    assert_eq!(mail.subject, SUBJECT);
    for fact in [" UTC", "198.51.100.7", "Chrome on Windows 10", "password and code by mail", "/login/not_me?token="] {
        assert!(mail.text.contains(fact) && mail.html.contains(fact), "{fact}: {}", mail.text);
    }
    let token = token_in(&mail.text);
    let (page, rows) = (format!("/login/not_me?token={token}"), app.row_counts().await);
    for method in [Method::HEAD, Method::GET, Method::GET] {
        app.browser().send(method, &page, None).await.expect(200);
    }
    assert_eq!(app.row_counts().await, rows);
    stranger.get("/api/users/@me").await.expect(200);

    let answer = app.browser().post_form("/login/not_me", &format!("token={token}")).await.expect(200);
    assert!(answer.text.contains("/reset") && !answer.text.contains("<script"), "{}", answer.text);
    for browser in [&owner, &stranger] {
        browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
        // Nor is it trusted any more.
        browser.begin_login(ADA, PASSWORD).await;
    }
    // A second time it ends nothing that began later.
    let later = app.browser();
    later.log_in(ADA, PASSWORD).await;
    app.browser().post_form("/login/not_me", &format!("token={token}")).await.expect(200);
    later.get("/api/users/@me").await.expect(200);
    // The stranger's device is not known any more.
    let told = notices(&app, ADA).await;
    app.advance(Duration::from_secs(3600));
    stranger.log_in(ADA, PASSWORD).await;
    assert_eq!(notices(&app, ADA).await, told + 1);
}

/// Q05: another token, or one that is too old, ends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_not_good_ends_nothing() {
    let app = app().await;
    let owner = app.browser_at("203.0.113.1");
    owner.log_in(ADA, PASSWORD).await;
    app.browser_at("203.0.113.2").log_in(ADA, PASSWORD).await;
    let token = token_in(&app.mail_to(ADA).await.text);
    let flipped = if token.ends_with('A') { "B" } else { "A" };
    let forged = format!("{}{flipped}", &token[..token.len() - 1]);
    for bad in ["", "x", &forged] {
        app.browser().post_form("/login/not_me", &format!("token={bad}")).await.expect(400);
    }
    app.advance(Duration::from_secs(2_592_000));
    app.browser().post_form("/login/not_me", &format!("token={token}")).await.expect(400);
    owner.get("/api/users/@me").await.expect(200);
}

/// C14: a reset forgets the devices of the user.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_makes_every_device_unknown() {
    let app = app().await;
    let browser = app.browser();
    browser.log_in(ADA, PASSWORD).await;
    browser.post("/api/reset", json!({ "email": ADA })).await.expect(204);
    app.drain().await;
    let wish = json!({ "token": token_in(&app.mail_to(ADA).await.text), "password": OTHER_PASSWORD });
    browser.post("/api/reset/complete", wish).await.expect(200);
    app.drain().await;
    app.advance(Duration::from_secs(3600));
    browser.log_in(ADA, OTHER_PASSWORD).await;
    assert_eq!(notices(&app, ADA).await, 1);
}

/// T-LOGIN-09, P05: a thousand bad logins from elsewhere, and the owner's own device signs in.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_locks_the_owner_out_of_a_known_device() {
    let app = TestApp::with(Settings::with(|config| {
        let defaults = load_from(None, std::iter::empty()).expect("the defaults");
        (config.lockout, config.login) = (defaults.lockout, defaults.login);
    }))
    .await;
    app.browser().sign_up_verified(ADA).await;
    let owner = app.browser_at("203.0.113.1");
    owner.log_in(ADA, PASSWORD).await;
    owner.post("/api/logout", json!({})).await.expect(204);
    let bad = json!({ "email": ADA, "password": OTHER_PASSWORD });
    let attacker = app.browser_at("203.0.113.1");
    for _ in 0..1000 {
        let status = attacker.post("/api/login", bad.clone()).await.status;
        assert!([401, 403, 429].contains(&status), "{status}");
    }
    // And from many networks, until the account is slowed down.
    for number in 0..60 {
        app.browser_at(&format!("198.51.100.{number}")).post("/api/login", bad.clone()).await;
    }
    app.browser().post("/api/login", bad.clone()).await.expect_problem(429, "throttled");
    app.drain().await;
    owner.log_in(ADA, PASSWORD).await;
    // Its own failures count, of course.
    owner.post("/api/logout", json!({})).await.expect(204);
    for _ in 0..5 {
        owner.post("/api/login", bad.clone()).await.expect_problem(401, "invalid_credentials");
    }
    owner.post("/api/login", bad.clone()).await.expect_problem(403, "too_many_failed_attempts");
    // A device that is known to another user has no such right.
    app.browser().sign_up_verified(BOB).await;
    let other = app.browser_at("203.0.113.7");
    other.log_in(BOB, PASSWORD).await;
    other.post("/api/login", bad).await.expect_problem(429, "throttled");
    app.drain().await;
}

/// K04, W18: listed, renamed and revoked by their user; one that was revoked is asked again.
#[tokio::test(flavor = "multi_thread")]
async fn trusted_devices_are_listed_renamed_and_revoked() {
    let app = app().await;
    let (one, two) = (app.browser(), app.browser().user_agent(CHROME));
    trust(&app, &one, ADA).await;
    trust(&app, &two, ADA).await;
    let listed = devices(&one).await;
    let current: Vec<_> = listed.iter().map(|device| device["is_current"].as_bool().expect("a flag")).collect();
    assert_eq!(current, [false, true], "{listed:?}");
    assert_eq!((&listed[0]["user_agent"], &listed[0]["method"]), (&json!(CHROME), &json!("email_mfa")));
    assert_eq!(listed[0].get("name"), None);
    let path = format!("/api/users/@me/trusted_devices/{}", listed[0]["id"].as_str().expect("an id"));
    let renamed = one.patch(&path, json!({ "name": "  Work " })).await.expect(200).json();
    assert_eq!((&renamed["name"], &renamed["id"]), (&json!("Work"), &listed[0]["id"]));
    assert_eq!(devices(&two).await[0]["name"], "Work");
    for name in ["", "  ", &"x".repeat(65), "a\nb"] {
        one.patch(&path, json!({ "name": name })).await.expect_problem(422, "validation_failed");
    }
    let secret = two.cookie(DEVICE).expect("a cookie");
    assert!(!app.dump().await.contains(&secret));

    one.delete(&path).await.expect(204);
    one.delete(&path).await.expect_problem(404, "device_not_found");
    one.patch(&path, json!({ "name": "x" })).await.expect_problem(404, "device_not_found");
    assert_eq!(devices(&one).await.len(), 1);
    for (browser, status) in [(&one, "signed_in"), (&two, "email_mfa_required")] {
        browser.post("/api/logout", json!({})).await.expect(204);
        let login = browser.post("/api/login", json!({ "email": ADA, "password": PASSWORD })).await.expect(200).json();
        assert_eq!(login["status"], status);
    }
    app.drain().await;
}

/// K04: the devices of others are not there.
#[tokio::test(flavor = "multi_thread")]
async fn trusted_devices_of_others_are_not_found() {
    let app = app().await;
    let (ada, bob) = (app.browser(), app.browser());
    trust(&app, &ada, ADA).await;
    bob.log_in(BOB, PASSWORD).await;
    let path = format!("/api/users/@me/trusted_devices/{}", devices(&ada).await[0]["id"].as_str().expect("an id"));
    assert!(devices(&bob).await.is_empty());
    bob.delete(&path).await.expect_problem(404, "device_not_found");
    bob.patch(&path, json!({ "name": "x" })).await.expect_problem(404, "device_not_found");
    assert_eq!(devices(&ada).await.len(), 1);
    // A new password ends them all.
    let change = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
    ada.post("/api/users/@me/password", change).await.expect(204);
    assert!(devices(&ada).await.is_empty());
    app.drain().await;
}
