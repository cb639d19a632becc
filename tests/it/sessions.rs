//! Sessions: their cookie, their end by time, and their end by will.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

use std::{fmt::Write, time::Duration};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use harness::{Caller, OTHER_PASSWORD, PASSWORD, Settings, TestApp, code_in};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use shared::{clock::Timestamp, users};

const ADA: &str = "ada@lovelace.test";
const SESSION: &str = "gatepost_session";

async fn app_with(settings: Settings) -> TestApp {
    let app = TestApp::with(settings).await;
    app.browser().sign_up_verified(ADA).await;
    app
}

async fn app_with_ada() -> TestApp {
    app_with(Settings::default()).await
}

async fn signed_in(app: &TestApp) -> Caller<'_> {
    let browser = app.browser();
    browser.log_in(ADA, PASSWORD).await;
    browser
}

async fn begun_at(app: &TestApp) -> Timestamp {
    Timestamp(app.number("SELECT MAX(created_at) AS number FROM sessions").await)
}

/// T-SESS-01: what was in the cookie before a login opens nothing after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_planted_cookie_does_not_become_a_session() {
    let app = app_with_ada().await;
    let browser = app.browser();
    for planted in [format!("gpst_{}", "A".repeat(43)), "x".to_owned(), String::new()] {
        browser.clear_cookies();
        browser.set_cookie(SESSION, &planted);
        browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
        browser.log_in(ADA, PASSWORD).await;
        assert_ne!(browser.cookie(SESSION).as_ref(), Some(&planted));
        let attacker = app.browser();
        attacker.set_cookie(SESSION, &planted);
        attacker.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    }
}

/// T-SESS-02, O01: on https with the prefix that keeps other hosts and paths out.
#[tokio::test(flavor = "multi_thread")]
async fn cookies_have_the_strictest_attributes() {
    let https = Settings::with(|config| config.http.public_url = "https://auth.example.com".parse().expect("a URL"));
    let app = app_with(https).await;
    let browser = app.browser();
    let answer = browser.post("/api/login", json!({ "email": ADA, "password": PASSWORD })).await.expect(200);
    let pending = answer.json()["email_mfa"]["login_id"].clone();
    let login = answer.set_cookie("__Host-gatepost_login").unwrap();
    app.drain().await;
    let code = code_in(&app.mail_to(ADA).await.text);
    let proof = json!({ "login_id": pending, "code": code, "remember_device": true });
    let answer = browser.post("/api/login/email_mfa", proof).await.expect(200);
    let session = answer.set_cookie("__Host-gatepost_session").unwrap();
    let device = answer.set_cookie("__Host-gatepost_device").unwrap();
    for (cookie, same_site, age) in [(login, "Lax", 900), (session, "Lax", 7_776_000), (device, "Strict", 2_592_000)] {
        let mut attributes: Vec<_> = cookie.split("; ").skip(1).map(str::to_owned).collect();
        attributes.sort();
        let mut expected = [
            "HttpOnly".to_owned(),
            format!("Max-Age={age}"),
            "Path=/".to_owned(),
            format!("SameSite={same_site}"),
            "Secure".to_owned(),
        ];
        expected.sort();
        assert_eq!(attributes, expected, "{cookie}");
        assert!(cookie.len() < 4096, "{cookie}");
    }
    assert!(answer.header("strict-transport-security").is_some());
    browser.get("/api/users/@me").await.expect(200);
    // The name without the prefix is not read.
    let plain = app.browser();
    plain.set_cookie(SESSION, &browser.cookie("__Host-gatepost_session").unwrap());
    plain.get("/api/users/@me").await.expect(401);
    let removal = browser.post("/api/logout", json!({})).await.expect(204);
    let removal = removal.set_cookie("__Host-gatepost_session").unwrap();
    assert!(removal.contains("; Max-Age=0;") && removal.contains("; Secure"), "{removal}");
}

/// T-SESS-02: on http the same without what http cannot have.
#[tokio::test(flavor = "multi_thread")]
async fn on_http_the_cookie_is_not_secure_but_strict_otherwise() {
    let app = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_login(ADA, PASSWORD).await;
    let code = code_in(&app.mail_to(ADA).await.text);
    let proof = json!({ "login_id": pending["login_id"], "code": code });
    let answer = browser.post("/api/login/email_mfa", proof).await.expect(200);
    let cookie = answer.set_cookie(SESSION).unwrap();
    assert!(cookie.ends_with("; Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax"), "{cookie}");
}

/// T-SESS-03, T-CLK-01, O01, O02: ninety days from the login, to the second, whatever is done in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_at_its_age() {
    let app = app_with_ada().await;
    let browser = signed_in(&app).await;
    let begun_at = begun_at(&app).await;
    for day in (1..90).step_by(10) {
        let gateway = app.gateway_at(begun_at + Duration::from_secs(day * 86_400));
        let browser = signed_in_as(&app, &browser).through(&gateway);
        browser.get("/api/users/@me").await.expect(200);
    }
    let (last, over) = (begun_at + Duration::from_secs(7_775_999), begun_at + Duration::from_secs(7_776_000));
    let (last, over) = (app.gateway_at(last), app.gateway_at(over));
    signed_in_as(&app, &browser).through(&last).get("/api/users/@me").await.expect(200);
    let refusal = signed_in_as(&app, &browser).through(&over).get("/api/users/@me").await;
    refusal.expect_problem(401, "session_expired");
    assert!(refusal.header("www-authenticate").is_some());
    // The row is still there: nothing but the clock ended it.
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM sessions WHERE revoked_at IS NULL").await, 1);
    app.advance(Duration::from_secs(7_776_000));
    browser.get("/api/users/@me").await.expect_problem(401, "session_expired");
}

/// The same cookies in another browser.
fn signed_in_as<'a>(app: &'a TestApp, browser: &Caller<'_>) -> Caller<'a> {
    let other = app.browser();
    other.set_cookie(SESSION, &browser.cookie(SESSION).expect("a session"));
    other
}

/// T-SESS-03: a shorter age that is configured later holds for sessions that are there already.
#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_age_holds_at_once() {
    let short = Settings::with(|config| config.sessions.age_seconds = 3600);
    let app = app_with(short).await;
    let browser = signed_in(&app).await;
    // As if it had been opened with a longer one.
    app.execute("UPDATE sessions SET expires_at = expires_at + 86400000000").await;
    app.advance(Duration::from_secs(3500));
    browser.get("/api/users/@me").await.expect(200);
    app.advance(Duration::from_secs(100));
    browser.get("/api/users/@me").await.expect_problem(401, "session_expired");
}

/// T-SESS-03, O02: after an hour without a request, and not before.
#[tokio::test(flavor = "multi_thread")]
async fn an_unused_session_ends_at_its_idle_limit() {
    let app = app_with(Settings::with(|config| config.sessions.idle_seconds = 3600)).await;
    let browser = signed_in(&app).await;
    let seen_at = begun_at(&app).await;
    let in_time = app.gateway_at(seen_at + Duration::from_secs(3599));
    let late = app.gateway_at(seen_at + Duration::from_secs(3600));
    signed_in_as(&app, &browser).through(&late).get("/api/users/@me").await.expect_problem(401, "session_expired");
    signed_in_as(&app, &browser).through(&in_time).get("/api/users/@me").await.expect(200);
    // That was a use: the limit counts from there.
    signed_in_as(&app, &browser).through(&late).get("/api/users/@me").await.expect(200);
    app.advance(Duration::from_secs(3600 + 3600));
    browser.get("/api/users/@me").await.expect_problem(401, "session_expired");
}

/// T-SESS-03: whoever works all the time is not thrown out, however short the limit is.
#[tokio::test(flavor = "multi_thread")]
async fn a_used_session_does_not_idle() {
    let settings = Settings::with(|config| {
        config.sessions.idle_seconds = 120;
        config.sessions.touch_seconds = 300;
    });
    let app = app_with(settings).await;
    let browser = signed_in(&app).await;
    for _ in 0..10 {
        app.advance(Duration::from_secs(90));
        browser.get("/api/users/@me").await.expect(200);
    }
    app.advance(Duration::from_secs(120));
    browser.get("/api/users/@me").await.expect_problem(401, "session_expired");
}

/// T-SESS-04, A19, O09: what one gateway ended is over for the others, whatever they had seen before.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_holds_at_every_gateway() {
    let app = app_with_ada().await;
    let second = app.another_gateway().await;
    let browser = signed_in(&app).await;
    let elsewhere = signed_in_as(&app, &browser).through(&second);
    for _ in 0..3 {
        elsewhere.get("/api/users/@me").await.expect(200);
    }
    browser.post("/api/logout", json!({})).await.expect(204);
    elsewhere.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
}

/// T-SESS-04, T-SESS-05, O13: so do a new password, a disabled user and a login elsewhere in the same browser.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_a_session_holds_at_every_gateway() {
    let app = app_with_ada().await;
    let second = app.another_gateway().await;
    let (browser, other) = (signed_in(&app).await, signed_in(&app).await);
    let (elsewhere, other_elsewhere) =
        (signed_in_as(&app, &browser).through(&second), signed_in_as(&app, &other).through(&second));
    for caller in [&elsewhere, &other_elsewhere] {
        caller.get("/api/users/@me").await.expect(200);
    }
    let change = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
    browser.post("/api/users/@me/password", change).await.expect(204);
    elsewhere.get("/api/users/@me").await.expect(200);
    other_elsewhere.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    browser.post("/api/login", json!({ "email": ADA, "password": OTHER_PASSWORD })).await.expect(200);
    elsewhere.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    let elsewhere = signed_in_as(&app, &browser).through(&second);
    elsewhere.get("/api/users/@me").await.expect(200);
    users::disable(&app.kernel, app.user(ADA).await.id).await.unwrap();
    for caller in [&browser, &elsewhere] {
        caller.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    }
    app.drain().await;
}

/// T-SESS-12, O06: nothing that the table holds opens a session.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_table_opens_no_session() {
    let app = app_with_ada().await;
    let browser = signed_in(&app).await;
    let session_token = browser.cookie(SESSION).unwrap();
    let dump = app.dump().await;
    assert!(dump.contains(ADA) && dump.contains("sessions:"), "the dump shows no values");
    assert!(!dump.contains(&session_token) && !dump.contains(session_token.trim_start_matches("gpst_")));
    let statement = Statement::from_string(app.kernel.db.engine(), "SELECT digest, id FROM sessions");
    let row = app.kernel.db.reader().query_one_raw(statement).await.unwrap().unwrap();
    let (digest, id): (Vec<u8>, uuid::Uuid) = (row.try_get("", "digest").unwrap(), row.try_get("", "id").unwrap());
    assert_eq!(digest.len(), 32);
    let hex = digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let stored =
        [hex, STANDARD.encode(&digest), URL_SAFE_NO_PAD.encode(&digest), id.to_string(), id.simple().to_string()];
    for value in stored.iter().flat_map(|value| [value.clone(), format!("gpst_{value}")]) {
        let thief = app.browser();
        thief.set_cookie(SESSION, &value);
        thief.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
        app.browser().bearer(&value).get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    }
    browser.get("/api/users/@me").await.expect(200);
}

/// A13, T-SESS-02: a cookie that is sent twice, or beside a bad bearer token, is no session.
#[tokio::test(flavor = "multi_thread")]
async fn a_doubtful_credential_is_refused() {
    let app = app_with_ada().await;
    let browser = signed_in(&app).await;
    let session_token = browser.cookie(SESSION).unwrap();
    let twice = app.browser().header("cookie", &format!("{SESSION}={session_token}; {SESSION}={session_token}"));
    twice.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    let beside = signed_in_as(&app, &browser).bearer("gpst_x");
    beside.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    let basic = signed_in_as(&app, &browser).header("authorization", "Basic YTpi");
    basic.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    app.browser().bearer(&session_token).get("/api/users/@me").await.expect(200);
}

async fn sessions_of(browser: &Caller<'_>) -> Vec<serde_json::Value> {
    let page = browser.get("/api/users/@me/sessions").await.expect(200).json();
    page["items"].as_array().expect("items").clone()
}

/// O07: device, address, method, last activity, and which one it is; ended ones are not there.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_with_their_facts() {
    let app = app_with_ada().await;
    let (one, two) = (app.browser_at("203.0.113.1"), app.browser_at("203.0.113.2").user_agent("tool/2"));
    one.log_in(ADA, PASSWORD).await;
    two.log_in(ADA, PASSWORD).await;
    app.browser().log_in(ADA, PASSWORD).await;
    app.execute("UPDATE sessions SET revoked_at = created_at WHERE ip NOT LIKE '203.0.113.%'").await;
    app.advance(Duration::from_secs(300));
    let listed = sessions_of(&one).await;
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!((&listed[0]["ip"], &listed[0]["user_agent"]), (&json!("203.0.113.2"), &json!("tool/2")));
    assert_eq!((&listed[1]["is_current"], &listed[0]["is_current"]), (&json!(true), &json!(false)));
    assert_eq!(listed[1]["amr"], json!(["pwd", "email"]));
    // The request itself is a use, recorded to five minutes.
    assert_ne!(listed[1]["last_active_at"], listed[1]["created_at"]);
    assert_eq!(listed[0]["last_active_at"], listed[0]["created_at"]);
    let first = one.get("/api/users/@me/sessions?limit=1").await.expect(200).json();
    let next = format!("/api/users/@me/sessions?limit=1&cursor={}", first["next_cursor"].as_str().expect("a cursor"));
    let second = one.get(&next).await.expect(200).json();
    assert_eq!((&first["items"][0], &second["items"][0]), (&listed[0], &listed[1]));
    assert_eq!(second.get("next_cursor"), None);
    app.advance(Duration::from_secs(7_776_000 - 301));
    assert_eq!(sessions_of(&one).await.len(), 2);
}

/// O07, O09, T-SESS-06: one of one's own, at once and at every gateway; somebody else's is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_revoked_by_its_user_only() {
    let app = app_with_ada().await;
    app.browser().sign_up_verified("bob@byron.test").await;
    let second = app.another_gateway().await;
    let (one, two, bob) = (signed_in(&app).await, signed_in(&app).await, app.browser());
    bob.log_in("bob@byron.test", PASSWORD).await;
    let elsewhere = signed_in_as(&app, &two).through(&second);
    elsewhere.get("/api/users/@me").await.expect(200);
    let other = sessions_of(&one).await.into_iter().find(|session| session["is_current"] == json!(false));
    let path = format!("/api/users/@me/sessions/{}", other.expect("another one")["id"].as_str().expect("an id"));
    bob.delete(&path).await.expect_problem(404, "session_not_found");
    assert_eq!(sessions_of(&bob).await.len(), 1);
    two.get("/api/users/@me").await.expect(200);
    one.delete(&path).await.expect(204);
    one.delete(&path).await.expect_problem(404, "session_not_found");
    for ended in [&two, &elsewhere] {
        ended.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    }
    assert_eq!(sessions_of(&one).await.len(), 1);
    let unknown = "/api/users/@me/sessions/019aa5c2-7b10-7c3e-9d41-2f6a8b0c1dff";
    one.delete(unknown).await.expect_problem(404, "session_not_found");
}

/// O07, T-SESS-06: all others at once, counted, and nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn all_other_sessions_are_revoked_at_once() {
    let app = app_with_ada().await;
    app.browser().sign_up_verified("bob@byron.test").await;
    let (one, two, three) = (signed_in(&app).await, signed_in(&app).await, signed_in(&app).await);
    let bob = app.browser();
    bob.log_in("bob@byron.test", PASSWORD).await;
    let revoke = async || one.post("/api/users/@me/sessions/revoke_others", json!({})).await.expect(200).json();
    assert_eq!(revoke().await, json!({ "count": 2 }));
    assert_eq!(revoke().await, json!({ "count": 0 }));
    for ended in [&two, &three] {
        ended.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    }
    for live in [&one, &bob] {
        live.get("/api/users/@me").await.expect(200);
    }
}
