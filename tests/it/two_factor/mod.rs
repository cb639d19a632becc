//! The two-factor step of a login: who is asked, what passes, and how often one may try.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "test code")]

mod by_passkey;
mod clocks;
mod hostile;
mod remembering;
mod rotation;
mod walk;

use std::time::Duration;

use futures_util::future::join_all;
use harness::{Answer, Caller, OTHER_PASSWORD, PASSWORD, TestApp, totp::Authenticator};
use serde_json::{Value, json};
use shared::{audit, users};

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@lovelace.test";
const STEP: &str = "/api/login/two_factor";
const SESSION: &str = "gatepost_session";

/// An application in which Ada has an authenticator app.
async fn app_with_ada() -> (TestApp, Authenticator) {
    let app = TestApp::new().await;
    let (authenticator, _) = enrolled(&app, ADA).await;
    (app, authenticator)
}

async fn enrolled(app: &TestApp, email: &str) -> (Authenticator, Vec<String>) {
    let browser = app.browser();
    browser.sign_up_verified(email).await;
    browser.log_in(email, PASSWORD).await;
    browser.enable_totp().await
}

async fn offer(browser: &Caller<'_>, pending: &Value, code: &str) -> Answer {
    browser.post(STEP, json!({ "login_id": pending["login_id"], "code": code })).await
}

/// A code that no step near the present one has.
fn wrong(app: &TestApp, authenticator: &Authenticator) -> String {
    let near: Vec<_> = (0..40_u64)
        .map(|step| authenticator.code(app.now() - Duration::from_secs(90) + Duration::from_secs(30 * step)))
        .collect();
    (0..100).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).unwrap()
}

async fn count_failures(app: &TestApp) -> usize {
    let rows = audit::list(app.kernel.db.reader(), "login.two_factor", 1000).await.unwrap();
    rows.iter().filter(|row| row.outcome == "failure").count()
}

/// H01, H04, Q01, T-MAIL-04, W26: a right password leads to the factors of this user, to no session and to no code by mail;
/// the login with a device that was not used before is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_asks_for_the_factors_of_the_user() {
    let (app, authenticator) = app_with_ada().await;
    app.browser().sign_up_verified(BOB).await;
    let mails = app.count_mails(ADA).await;
    let browser = app.browser();
    let answer = browser.post("/api/login", json!({ "email": ADA, "password": PASSWORD })).await.expect(200);
    let login = answer.json();
    assert_eq!(login["status"], "two_factor_required");
    assert_eq!(login["two_factor"]["methods"], json!(["totp", "backup_code"]));
    assert!(
        login.get("session").is_none() && login.get("user").is_none() && login.get("email_mfa").is_none(),
        "{login}"
    );
    assert!(login["two_factor"].get("login_token").is_none(), "{login}");
    assert_eq!(answer.set_cookie(SESSION), None);
    browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    let signed_in = offer(&browser, &login["two_factor"], &authenticator.code(app.now())).await.expect(200).json();
    assert_eq!(signed_in["status"], "signed_in");
    assert_eq!(signed_in["session"]["amr"], json!(["pwd", "otp", "mfa"]));
    assert_eq!(browser.get("/api/users/@me").await.expect(200).json()["email"], ADA);
    app.drain().await;
    assert_eq!(app.count_mails(ADA).await, mails + 1);
    assert_eq!(app.mail_to(ADA).await.subject, "New sign-in to your account");
    app.browser().begin_login(BOB, PASSWORD).await;
}

/// T-MAIL-04: the e-mail step does not take a login that waits for a second factor, and sends nothing for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_does_not_stand_in_for_a_second_factor() {
    let (app, _) = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let id = &pending["login_id"];
    let proof = json!({ "login_id": id, "code": "123456" });
    browser.post("/api/login/email_mfa", proof).await.expect_problem(400, "login_not_found");
    app.advance(Duration::from_secs(61));
    let again = json!({ "login_id": id });
    browser.post("/api/login/email_mfa/resend", again).await.expect_problem(400, "login_not_found");
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM jobs WHERE state = 'queued'").await, 0);
}

/// T-MAIL-04: a mailed code from before the app was enabled opens nothing afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailed_code_ends_when_a_second_factor_begins() {
    let app = TestApp::new().await;
    let browser = app.browser();
    browser.sign_up_verified(ADA).await;
    browser.log_in(ADA, PASSWORD).await;
    let other = app.browser();
    let pending = other.begin_login(ADA, PASSWORD).await;
    let code = harness::code_in(&app.mail_to(ADA).await.text);
    browser.enable_totp().await;
    let proof = json!({ "login_id": pending["login_id"], "code": code });
    other.post("/api/login/email_mfa", proof).await.expect_problem(400, "login_expired");
}

/// H02, T-TOTP-08: the step may be passed for ten minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_pending_login_lives_ten_minutes() {
    let (app, authenticator) = app_with_ada().await;
    let begun_at = app.now();
    let begin = app.gateway_at(begun_at);
    let (last, over) = (begun_at + Duration::from_secs(599), begun_at + Duration::from_secs(601));
    let (in_time, too_late) = (app.gateway_at(last), app.gateway_at(over));
    let browser = app.browser().through(&begin);
    let pending = browser.begin_two_factor(ADA).await;
    let browser = browser.through(&too_late);
    offer(&browser, &pending, &authenticator.code(over)).await.expect_problem(400, "login_expired");
    let browser = browser.through(&in_time);
    offer(&browser, &pending, &authenticator.code(last)).await.expect(200);
}

/// H03: no login, one of another browser, one that ended: all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_or_ended_login_is_not_found() {
    let (app, authenticator) = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let code = authenticator.code(app.now());
    offer(&app.browser(), &pending, &code).await.expect_problem(400, "login_not_found");
    let other = app.browser();
    other.begin_two_factor(ADA).await;
    offer(&other, &pending, &code).await.expect_problem(400, "login_not_found");
    let unknown = json!({ "login_id": "019aa5c2-7b10-7c3e-9d41-2f6a8b0c1dff" });
    offer(&browser, &unknown, &code).await.expect_problem(400, "login_not_found");
    let token = browser.cookie("gatepost_login").unwrap();
    offer(&browser, &pending, &code).await.expect(200);
    browser.set_cookie("gatepost_login", &token);
    app.advance(Duration::from_secs(60));
    offer(&browser, &pending, &authenticator.code(app.now())).await.expect_problem(400, "login_not_found");
}

/// W36: a login that waits is one row with a state. It makes no session by itself, and nothing of it is left in the browser
/// that signs somebody else in; it ends once, by its proof or by too many wrong ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_pending_login_is_one_row_with_a_state() {
    let (app, authenticator) = app_with_ada().await;
    app.browser().sign_up_verified(BOB).await;
    let states = async || {
        let count = async |state: &str| {
            app.number(&format!("SELECT COUNT(*) AS number FROM logins WHERE user_id = (SELECT id FROM users WHERE email = '{ADA}') AND state = '{state}'")).await
        };
        [count("two_factor").await, count("done").await, count("dead").await]
    };
    let [_, done, _] = states().await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let login_token = browser.cookie("gatepost_login").unwrap();
    assert_eq!(states().await, [1, done, 0]);
    browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");

    // Somebody else signs in without a second factor. The waiting login is not theirs, and not this browser's any more.
    browser.log_in(BOB, PASSWORD).await;
    let code = authenticator.code(app.now());
    offer(&browser, &pending, &code).await.expect_problem(400, "login_not_found");
    assert_eq!(browser.get("/api/users/@me").await.expect(200).json()["email"], BOB);
    assert_eq!(states().await, [1, done, 0]);

    // Whoever has its secret ends it, once.
    let holder = app.browser();
    holder.set_cookie("gatepost_login", &login_token);
    offer(&holder, &pending, &code).await.expect(200);
    assert_eq!(states().await, [0, done + 1, 0]);
    holder.set_cookie("gatepost_login", &login_token);
    app.advance(Duration::from_secs(60));
    offer(&holder, &pending, &authenticator.code(app.now())).await.expect_problem(400, "login_not_found");

    // Ten wrong codes end one, too; then nothing passes.
    let other = app.browser();
    let pending = other.begin_two_factor(ADA).await;
    let guess = wrong(&app, &authenticator);
    for _ in 0..10 {
        offer(&other, &pending, &guess).await;
    }
    assert_eq!(states().await, [0, done + 1, 1]);
    app.advance(Duration::from_secs(60));
    offer(&other, &pending, &authenticator.code(app.now())).await.expect_problem(429, "too_many_attempts");

    // One whose factor is gone opens nothing, and the next login waits for something else.
    let pending = other.begin_two_factor(ADA).await;
    holder.delete("/api/users/@me/two_factor/totp").await.expect(204);
    app.drain().await;
    offer(&other, &pending, &authenticator.code(app.now())).await.expect_problem(400, "login_expired");
    other.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    other.begin_login(ADA, PASSWORD).await;
    assert_eq!(states().await, [1, done + 1, 1]);
}

/// H05: a step without any proof is told what is missing, and nothing is counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_without_a_proof_is_told_what_is_missing() {
    let (app, _) = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let empty = browser.post(STEP, json!({ "login_id": pending["login_id"] })).await;
    assert_eq!(empty.expect_problem(422, "validation_failed")["errors"][0]["code"], "required");
    assert_eq!(app.number("SELECT SUM(attempts) AS number FROM logins WHERE state = 'two_factor'").await, 0);
}

/// H06, H07, H08: ten codes per pending login and per minute; a further login does not start the count again.
#[tokio::test(flavor = "multi_thread")]
async fn ten_wrong_codes_end_the_login_and_the_next_one_has_to_wait() {
    let (app, authenticator) = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let bad = wrong(&app, &authenticator);
    for _ in 0..9 {
        offer(&browser, &pending, &bad).await.expect_problem(401, "invalid_code");
    }
    offer(&browser, &pending, &bad).await.expect_problem(429, "too_many_attempts");
    let right = authenticator.code(app.now());
    offer(&browser, &pending, &right).await.expect_problem(429, "too_many_attempts");
    let other = app.browser();
    let again = other.begin_two_factor(ADA).await;
    app.advance(Duration::from_secs(61));
    for _ in 0..9 {
        offer(&other, &again, &bad).await.expect_problem(401, "invalid_code");
    }
    let third = app.browser();
    let next = third.begin_two_factor(ADA).await;
    offer(&third, &next, &bad).await.expect_problem(401, "invalid_code");
    let evaluated = count_failures(&app).await;
    let refused = offer(&third, &next, &authenticator.code(app.now())).await;
    refused.expect_problem(429, "too_many_attempts");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(count_failures(&app).await, evaluated);
    app.advance(Duration::from_secs(61));
    offer(&third, &next, &authenticator.code(app.now())).await.expect(200);
}

/// T-TOTP-04, H06: of a hundred guesses at the same time, ten are looked at.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_parallel_guesses_ten_are_looked_at() {
    let (app, authenticator) = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let bad = wrong(&app, &authenticator);
    let answers = join_all((0..100).map(|_| offer(&browser, &pending, &bad))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 9);
    assert!(answers.iter().all(|answer| [401, 429].contains(&answer.status)));
    assert_eq!(count_failures(&app).await, 10);
}

/// H06: a day has a limit of its own, over all logins, addresses and minutes.
#[tokio::test(flavor = "multi_thread")]
async fn patient_guessing_ends_with_the_limit_of_the_day() {
    let (app, authenticator) = app_with_ada().await;
    let bad = wrong(&app, &authenticator);
    let mut last = 0;
    for _ in 0..8 {
        let browser = app.browser();
        let pending = browser.begin_two_factor(ADA).await;
        for _ in 0..10 {
            last = offer(&browser, &pending, &bad).await.status;
        }
        app.advance(Duration::from_secs(61));
    }
    assert_eq!(last, 429);
    let evaluated = count_failures(&app).await;
    assert!((60..=61).contains(&evaluated), "{evaluated}");
}

/// H09, T-TOTP-08: a password change and the end of the user end what waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_change_and_the_end_of_the_user_end_pending_logins() {
    let (app, authenticator) = app_with_ada().await;
    let owner = app.browser();
    let pending = owner.begin_two_factor(ADA).await;
    offer(&owner, &pending, &authenticator.code(app.now())).await.expect(200);
    app.advance(Duration::from_secs(60));
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let change = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
    owner.post("/api/users/@me/password", change).await.expect(204);
    app.drain().await;
    offer(&browser, &pending, &authenticator.code(app.now())).await.expect_problem(400, "login_expired");
    let credentials = json!({ "email": ADA, "password": OTHER_PASSWORD });
    let pending = browser.post("/api/login", credentials).await.expect(200).json()["two_factor"].clone();
    users::disable(&app.kernel, app.user(ADA).await.id).await.unwrap();
    offer(&browser, &pending, &authenticator.code(app.now())).await.expect_problem(400, "login_expired");
}

/// A14, A12: signing in again on a live session asks for the factor too, and gives another token.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_session_does_not_stand_in_for_the_factor() {
    let (app, authenticator) = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    offer(&browser, &pending, &authenticator.code(app.now())).await.expect(200);
    let before = browser.cookie(SESSION).unwrap();
    app.advance(Duration::from_secs(60));
    let pending = browser.begin_two_factor(ADA).await;
    assert_eq!(browser.cookie(SESSION).as_ref(), Some(&before));
    offer(&browser, &pending, &authenticator.code(app.now())).await.expect(200);
    assert_ne!(browser.cookie(SESSION).as_ref(), Some(&before));
    browser.set_cookie(SESSION, &before);
    browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
}

/// K01, K02: a remembered browser skips the step for its user; another user is asked, and so is another browser.
#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_browser_skips_the_step_for_its_user() {
    let (app, authenticator) = app_with_ada().await;
    enrolled(&app, BOB).await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let code = authenticator.code(app.now());
    let proof = json!({ "login_id": pending["login_id"], "code": code, "remember_device": true });
    let cookie = browser.post(STEP, proof).await.expect(200).set_cookie("gatepost_device").unwrap();
    assert!(cookie.ends_with("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict"), "{cookie}");
    browser.post("/api/logout", json!({})).await.expect(204);
    let login = browser.post("/api/login", json!({ "email": ADA, "password": PASSWORD })).await.expect(200).json();
    assert_eq!(login["status"], "signed_in");
    assert_eq!(login["session"]["amr"], json!(["pwd"]));
    browser.begin_two_factor(BOB).await;
    app.browser().begin_two_factor(ADA).await;
    app.execute("UPDATE trusted_devices SET method = 'email_mfa'").await;
    browser.begin_two_factor(ADA).await;
}

/// H01: a client without cookies binds the step with its `login_token` and gets a bearer session.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_cookies_passes_the_step_with_its_login_token() {
    let (app, authenticator) = app_with_ada().await;
    let client = app.browser().plain();
    let credentials = json!({ "email": ADA, "password": PASSWORD, "session_transport": "token" });
    let answer = client.post("/api/login", credentials).await.expect(200);
    assert_eq!(answer.set_cookie("gatepost_login"), None);
    let pending = answer.json()["two_factor"].clone();
    let code = authenticator.code(app.now());
    offer(&client, &pending, &code).await.expect_problem(400, "login_not_found");
    let proof = json!({ "login_id": pending["login_id"], "login_token": pending["login_token"], "code": code });
    let login = client.post(STEP, proof).await.expect(200).json();
    let token = login["session"]["token"].as_str().unwrap().to_owned();
    app.browser().bearer(&token).get("/api/users/@me").await.expect(200);
}
