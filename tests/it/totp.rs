//! Authenticator apps: setting one up, what its codes open, replacing and removing it.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use futures_util::future::join_all;
use harness::{Answer, Caller, PASSWORD, Settings, TestApp, UNLIMITED, hexadecimal, totp::Authenticator};
use serde_json::{Value, json};
use shared::audit;

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@lovelace.test";
const TOTP: &str = "/api/users/@me/two_factor/totp";

async fn signed_in<'a>(app: &'a TestApp, email: &str) -> Caller<'a> {
    let browser = app.browser();
    browser.sign_up_verified(email).await;
    browser.log_in(email, PASSWORD).await;
    browser
}

async fn start(browser: &Caller<'_>) -> (Authenticator, Value) {
    let setup = browser.post(&format!("{TOTP}/start"), json!({})).await.expect(200).json();
    (Authenticator::of(setup["secret"].as_str().unwrap()), setup)
}

async fn confirm(browser: &Caller<'_>, code: &str) -> Answer {
    browser.post(&format!("{TOTP}/confirm"), json!({ "code": code })).await
}

/// Password and this code, in this browser.
async fn log_in(browser: &Caller<'_>, email: &str, code: &str) -> Answer {
    let pending = browser.begin_two_factor(email).await;
    browser.post("/api/login/two_factor", json!({ "login_id": pending["login_id"], "code": code })).await
}

/// A code that is not right now, nor just before or after.
fn wrong(app: &TestApp, authenticator: &Authenticator) -> String {
    let now = app.now();
    let near: Vec<_> =
        (0..7).map(|step| authenticator.code(now - Duration::from_secs(90) + Duration::from_secs(30 * step))).collect();
    ["000000", "000001", "000002", "000003", "000004", "000005", "000006", "000007"]
        .into_iter()
        .find(|code| !near.contains(&(*code).to_owned()))
        .unwrap()
        .to_owned()
}

/// F01: a secret of 160 bits, an address that apps read, a picture of it, and ten minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_setup_shows_secret_address_and_picture_for_ten_minutes() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (authenticator, setup) = start(&browser).await;
    assert_eq!(authenticator.secret().len(), 20);
    let secret = setup["secret"].as_str().unwrap();
    let url = setup["otpauth_url"].as_str().unwrap();
    assert!(url.starts_with("otpauth://totp/Gatepost:ada%40lovelace.test?"), "{url}");
    assert!(url.contains(&format!("secret={secret}")) && url.contains("issuer=Gatepost"), "{url}");
    assert!(setup["qr_svg"].as_str().unwrap().contains("<svg"), "{setup}");
    app.advance(Duration::from_secs(590));
    let late = app.gateway_at(app.now() + Duration::from_secs(11));
    let copy = app.browser().through(&late);
    copy.set_cookie("gatepost_session", &browser.cookie("gatepost_session").unwrap());
    confirm(&copy, &authenticator.code(app.now())).await.expect_problem(400, "setup_expired");
    confirm(&browser, &authenticator.code(app.now())).await.expect(200);
    confirm(&browser, &authenticator.code(app.now())).await.expect_problem(400, "setup_expired");
    app.drain().await;
}

/// F02, T-TOTP-06: a setup enables nothing before its first right code; a wrong one leaves it as it is.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_right_code_enables_the_app() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (authenticator, _) = start(&browser).await;
    let refused = confirm(&browser, &wrong(&app, &authenticator)).await.expect_problem(422, "validation_failed");
    assert_eq!(refused["errors"][0]["code"], "invalid_code");
    let status = browser.get("/api/users/@me/two_factor").await.expect(200).json();
    let nothing = json!({
        "is_enabled": false, "methods": [], "backup_codes_left": 0, "passkeys_enabled_for_2fa": false,
    });
    assert_eq!(status, nothing);
    app.browser().begin_login(ADA, PASSWORD).await;
    let code = authenticator.code(app.now());
    let enabled = confirm(&browser, &format!("{} {}", &code[..3], &code[3..])).await.expect(200).json();
    assert_eq!(enabled["backup_codes"].as_array().unwrap().len(), 10);
    app.drain().await;
    assert_eq!(app.mail_to(ADA).await.subject, "Two-factor authentication is on");
    let status = browser.get("/api/users/@me/two_factor").await.expect(200).json();
    assert_eq!((&status["is_enabled"], &status["backup_codes_left"]), (&json!(true), &json!(10)));
    assert_eq!(status["methods"], json!(["totp", "backup_code"]));
    app.browser().begin_two_factor(ADA).await;
    let rows = audit::list(app.kernel.db.reader(), "totp.confirm", 10).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>(), ["success", "failure"]);
}

/// F03, T-TOTP-03: the step before, the present one and the next, held against an implementation of our own.
#[tokio::test(flavor = "multi_thread")]
async fn neighbouring_steps_are_accepted_and_no_others() {
    let app = TestApp::new().await;
    let (authenticator, _) = signed_in(&app, ADA).await.enable_totp().await;
    let now = app.now() + Duration::from_secs(600);
    let gateway = app.gateway_at(now);
    let step = Duration::from_secs(30);
    for at in [now - 2 * step, now + 2 * step] {
        let refused = log_in(&app.browser().through(&gateway), ADA, &authenticator.code(at)).await;
        refused.expect_problem(401, "invalid_code");
    }
    for at in [now - step, now, now + step] {
        log_in(&app.browser().through(&gateway), ADA, &authenticator.code(at)).await.expect(200);
    }
}

/// F04, T-TOTP-01, T-TOTP-02: a step opens one login, and none before it afterwards, whichever gateway is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_accepted_once_on_all_gateways() {
    let app = TestApp::new().await;
    let (authenticator, _) = signed_in(&app, ADA).await.enable_totp().await;
    let now = app.now();
    let (first, second) = (app.gateway_at(now), app.gateway_at(now));
    let code = authenticator.code(now);
    log_in(&app.browser().through(&first), ADA, &code).await.expect(200);
    for gateway in [&first, &second] {
        let browser = app.browser().through(gateway);
        log_in(&browser, ADA, &code).await.expect_problem(401, "invalid_code");
        let earlier = authenticator.code(now - Duration::from_secs(30));
        log_in(&browser, ADA, &earlier).await.expect_problem(401, "invalid_code");
    }
}

/// F04, T-TOTP-01: of twenty logins with one code at the same time, one succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_logins_with_one_code_give_one_session() {
    let app = TestApp::with(Settings::with(|config| config.two_factor.per_user = UNLIMITED)).await;
    let (authenticator, _) = signed_in(&app, ADA).await.enable_totp().await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let browser = app.browser();
        waiting.push((browser.begin_two_factor(ADA).await, browser));
    }
    let code = authenticator.code(app.now());
    let answers = join_all(waiting.iter().map(|(pending, browser)| {
        browser.post("/api/login/two_factor", json!({ "login_id": pending["login_id"], "code": code }))
    }));
    let mut statuses: Vec<_> = answers.await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1]), (200, 401), "{statuses:?}");
    assert!(statuses[1..].iter().all(|status| *status == 401), "{statuses:?}");
}

/// F05, T-TOTP-05: a dump holds no secret, and a row that is put under another user opens for nobody.
#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_sealed_for_its_owner() {
    let app = TestApp::new().await;
    let (authenticator, _) = signed_in(&app, ADA).await.enable_totp().await;
    let browser = signed_in(&app, BOB).await;
    browser.enable_totp().await;
    let secret = hexadecimal(authenticator.secret());
    let dump = app.dump().await.to_lowercase();
    assert!(dump.contains("totps: ") && !dump.contains(&secret), "the secret is in the database");
    let (ada, bob) = (app.user(ADA).await.id, app.user(BOB).await.id);
    let of = |id| format!("user_id = (SELECT id FROM users WHERE email = '{id}')");
    let swap = format!("UPDATE totps SET sealed = (SELECT sealed FROM totps WHERE {}) WHERE {}", of(ADA), of(BOB));
    app.execute(&swap).await;
    assert_ne!(ada, bob);
    let code = authenticator.code(app.now());
    log_in(&app.browser(), BOB, &code).await.expect_problem(401, "invalid_code");
    log_in(&app.browser(), ADA, &code).await.expect(200);
}

/// F05: what an old key sealed is sealed with the new one when it is used.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_takes_over_when_the_app_is_used() {
    let app = TestApp::new().await;
    let (authenticator, _) = signed_in(&app, ADA).await.enable_totp().await;
    let entries =
        ["second:0123456789abcdef0123456789abcdef".to_owned(), app.kernel.config.secrets.keys.expose()[0].clone()];
    let rotated = app.gateway_with_keys(&entries);
    log_in(&app.browser().through(&rotated), ADA, &authenticator.code(app.now())).await.expect(200);
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM totps WHERE key_id = 'second'").await, 1);
    app.advance(Duration::from_secs(60));
    let without_the_old = app.gateway_with_keys(&entries[..1]);
    let browser = app.browser().through(&rotated);
    let pending = browser.begin_two_factor(ADA).await;
    let proof = json!({ "login_id": pending["login_id"], "code": authenticator.code(app.now()) });
    browser.through(&without_the_old).post("/api/login/two_factor", proof).await.expect(200);
}

/// F06, T-TOTP-06, W37: another app needs a fresh proof, and takes the place of the first one when it is confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn another_app_replaces_the_first_one() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (first, _) = browser.enable_totp().await;
    app.advance(Duration::from_secs(600));
    browser.post(&format!("{TOTP}/start"), json!({})).await.expect_problem(409, "totp_already_enabled");
    let proof = json!({ "code": first.code(app.now()) });
    browser.post("/api/users/@me/reauthenticate", proof).await.expect(200);
    let (second, _) = start(&browser).await;
    app.advance(Duration::from_secs(60));
    log_in(&app.browser(), ADA, &first.code(app.now())).await.expect(200);
    confirm(&browser, &second.code(app.now())).await.expect(200);
    app.drain().await;
    app.advance(Duration::from_secs(60));
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM totps").await, 1);
    log_in(&app.browser(), ADA, &first.code(app.now())).await.expect_problem(401, "invalid_code");
    log_in(&app.browser(), ADA, &second.code(app.now())).await.expect(200);
}

/// F07, W14: one wrong code counts once.
#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_code_counts_once() {
    let app = TestApp::new().await;
    let (authenticator, _) = signed_in(&app, ADA).await.enable_totp().await;
    log_in(&app.browser(), ADA, &wrong(&app, &authenticator)).await.expect_problem(401, "invalid_code");
    assert_eq!(app.number("SELECT SUM(attempts) AS number FROM logins WHERE state = 'two_factor'").await, 1);
    assert_eq!(audit::list(app.kernel.db.reader(), "login.two_factor", 10).await.unwrap().len(), 1);
}

/// F08, T-TOTP-07, W15: removing the app needs the second factor in this session and a proof of the last five minutes.
#[tokio::test(flavor = "multi_thread")]
async fn removing_the_app_needs_the_second_factor_and_a_fresh_proof() {
    let app = TestApp::new().await;
    let (authenticator, _) = signed_in(&app, ADA).await.enable_totp().await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let code = authenticator.code(app.now());
    let proof = json!({ "login_id": pending["login_id"], "code": code, "remember_device": true });
    browser.post("/api/login/two_factor", proof).await.expect(200);
    let credentials = json!({ "email": ADA, "password": PASSWORD });
    let login = browser.post("/api/login", credentials).await.expect(200).json();
    assert_eq!(login["session"]["amr"], json!(["pwd"]));
    let remove = || browser.send(poem::http::Method::DELETE, TOTP, None);
    remove().await.expect_problem(403, "sensitive_action_required_reauth");
    browser.post("/api/users/@me/reauthenticate", json!({ "password": PASSWORD })).await.expect(200);
    remove().await.expect_problem(403, "sensitive_action_required_reauth");
    app.advance(Duration::from_secs(60));
    let proof = json!({ "code": authenticator.code(app.now()) });
    let renewed = browser.post("/api/users/@me/reauthenticate", proof).await.expect(200).json();
    assert_eq!(renewed["amr"], json!(["pwd", "otp", "mfa"]));
    app.advance(Duration::from_secs(301));
    remove().await.expect_problem(403, "sensitive_action_required_reauth");
    browser.post("/api/users/@me/reauthenticate", json!({ "password": PASSWORD })).await.expect(200);
    remove().await.expect(204);
    app.drain().await;
    assert_eq!(app.mail_to(ADA).await.subject, "Two-factor authentication with an app is off");
    let rows = audit::list(app.kernel.db.reader(), "totp.disable", 10).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.outcome == "success").count(), 1);
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM totps").await, 0);
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM backup_codes").await, 0);
    remove().await.expect_problem(404, "totp_not_enabled");
    app.browser().begin_login(ADA, PASSWORD).await;
}

/// F10, O11, K05: enabling an app ends other sessions and the trust in devices; this session stays.
#[tokio::test(flavor = "multi_thread")]
async fn enabling_ends_what_was_there_before() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let other = app.browser();
    let pending = other.begin_login(ADA, PASSWORD).await;
    let code = harness::code_in(&app.mail_to(ADA).await.text);
    let proof = json!({ "login_id": pending["login_id"], "code": code, "remember_device": true });
    other.post("/api/login/email_mfa", proof).await.expect(200);
    browser.enable_totp().await;
    browser.get("/api/users/@me").await.expect(200);
    other.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    other.begin_two_factor(ADA).await;
}
