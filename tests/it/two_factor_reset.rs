//! Letting a user without their second factor back in: what the administrator may ask for, and what only the user can do.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::time::Duration;

use futures_util::future::join_all;
use harness::{
    Answer, Authenticator as Passkey, Caller, OTHER_PASSWORD, PASSWORD, Settings, TestApp, code_in, token_in,
    totp::Authenticator,
};
use serde_json::json;
use shared::{
    audit::{self, AuditRow},
    jobs::JobState,
    orgs,
    rate_limit::Limit,
    secret::SignedId,
    two_factor_reset,
};

use crate::passkey;

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@byron.test";
const EVE: &str = "eve@example.com";
/// What the organization of the first user is called.
const FIRST: &str = "My organization";
const SUBJECT: &str = "Reset your two-factor authentication";
const DONE: &str = "Your two-factor authentication was reset";
const COMPLETE: &str = "/api/two_factor_reset/complete";
const PAGE: &str = "/two_factor_reset";
const DAY: u64 = 86_400;

/// An application where Ada owns the organization, and Bob is a member with an authenticator app.
async fn app() -> (TestApp, Authenticator) {
    app_with(Settings::default()).await
}

async fn app_with(settings: Settings) -> (TestApp, Authenticator) {
    let app = TestApp::with(settings).await;
    for email in [ADA, BOB, EVE] {
        app.browser().sign_up_verified(email).await;
    }
    app.join(FIRST, BOB, "member").await;
    let browser = app.browser();
    browser.log_in(BOB, PASSWORD).await;
    let (authenticator, _) = browser.enable_totp().await;
    (app, authenticator)
}

async fn signed_in<'a>(app: &'a TestApp, email: &str) -> Caller<'a> {
    let browser = app.browser();
    browser.log_in(email, PASSWORD).await;
    browser
}

async fn ask(app: &TestApp, caller: &Caller<'_>, email: &str) -> Answer {
    let user = app.user(email).await;
    caller.post(&format!("/api/users/{}/two_factor_reset", user.id), json!({})).await
}

async fn complete(caller: &Caller<'_>, token: &str, password: &str) -> Answer {
    caller.post(COMPLETE, json!({ "token": token, "password": password })).await
}

/// Has a link mailed by Ada, and reads it from the mail.
async fn new_token(app: &TestApp) -> String {
    let admin = signed_in(app, ADA).await;
    ask(app, &admin, BOB).await.expect(204);
    app.drain().await;
    token_in(&app.mails_about(BOB, SUBJECT).await.remove(0).text)
}

async fn trail(app: &TestApp, action: &str) -> Vec<AuditRow> {
    audit::list(app.kernel.db.reader(), action, 1000).await.unwrap()
}

async fn is_asked_for_the_app(app: &TestApp) -> bool {
    let login = app.browser().post("/api/login", json!({ "email": BOB, "password": PASSWORD })).await.expect(200);
    app.drain().await;
    login.json()["status"] == "two_factor_required"
}

/// L09, L10: an administrator's request mails the user and changes nothing: the session, the factor, the codes.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_changes_nothing_by_itself() {
    let (app, authenticator) = app().await;
    let (admin, browser) = (signed_in(&app, ADA).await, app.browser());
    let pending = browser.begin_two_factor(BOB).await;
    let proof = json!({ "login_id": pending["login_id"], "code": authenticator.code(app.now()) });
    browser.post("/api/login/two_factor", proof).await.expect(200);
    let before = app.user(BOB).await;
    let answer = ask(&app, &admin, BOB).await.expect(204);
    assert_eq!(answer.text, "");
    app.drain().await;
    assert_eq!(app.mails_about(BOB, SUBJECT).await.len(), 1);
    assert!(app.mails_about(ADA, SUBJECT).await.is_empty());
    assert_eq!(app.user(BOB).await, before);
    let status = browser.get("/api/users/@me/two_factor").await.expect(200).json();
    assert_eq!((&status["is_enabled"], &status["backup_codes_left"]), (&json!(true), &json!(10)));
    assert!(is_asked_for_the_app(&app).await);
    let rows = trail(&app, "two_factor_reset.request").await;
    assert_eq!((rows.len(), rows[0].user_id), (1, Some(app.user(ADA).await.id.0)));
    assert!(rows[0].detail.contains(&before.id.to_string()), "{}", rows[0].detail);
    // A user without a second factor has none to be reset.
    app.join(FIRST, EVE, "member").await;
    ask(&app, &admin, EVE).await.expect_problem(409, "two_factor_not_enabled");
    // What is mailed is nowhere at rest.
    let token = token_in(&app.mails_about(BOB, SUBJECT).await.remove(0).text);
    assert!(!app.dump().await.contains(&token));
}

/// L09: only an administrator of a common organization, of no lower role in any, and never for themselves.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_for_administrators_of_a_common_organization() {
    let (app, _) = app().await;
    let (owner, stranger) = (signed_in(&app, ADA).await, signed_in(&app, EVE).await);
    ask(&app, &stranger, BOB).await.expect_problem(404, "user_not_found");
    owner
        .post("/api/users/019aa5c2-7b10-7c3e-9d41-2f6a8b0c1dff/two_factor_reset", json!({}))
        .await
        .expect_problem(404, "user_not_found");
    ask(&app, &owner, EVE).await.expect_problem(404, "user_not_found");
    app.join(FIRST, EVE, "member").await;
    ask(&app, &stranger, BOB).await.expect_problem(403, "forbidden");
    owner.enable_totp().await;
    // An administrator: members and administrators, not owners, and not themselves.
    app.execute("UPDATE organization_members SET role = 'admin' WHERE role = 'member'").await;
    ask(&app, &stranger, ADA).await.expect_problem(403, "forbidden");
    ask(&app, &stranger, BOB).await.expect(204);
    stranger.enable_totp().await;
    ask(&app, &stranger, EVE).await.expect_problem(403, "forbidden");
    let refused = trail(&app, "two_factor_reset.request").await;
    let reasons: Vec<_> =
        refused.iter().filter(|row| row.outcome == "failure").map(|row| row.detail.as_str()).collect();
    for reason in ["role", "outranked", "self"] {
        assert!(reasons.iter().any(|detail| detail.contains(&format!("\"reason\":\"{reason}\""))), "{reasons:?}");
    }
    // A higher role in another common organization counts as well.
    let (bob, eve) = (app.user(BOB).await, app.user(EVE).await);
    let tx = app.kernel.db.write_tx().await.unwrap();
    orgs::create(&tx, "Analytical Engines", bob.id, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    ask(&app, &stranger, BOB).await.expect(204);
    app.join("Analytical Engines", EVE, "member").await;
    ask(&app, &stranger, BOB).await.expect_problem(403, "forbidden");
    assert_ne!(bob.id, eve.id);
    app.drain().await;
}

/// L09, O10: it needs a proof of identity of the last two hours.
#[tokio::test(flavor = "multi_thread")]
async fn it_needs_a_recent_proof_of_identity() {
    let (app, _) = app().await;
    let admin = signed_in(&app, ADA).await;
    app.advance(Duration::from_secs(2 * 3600 + 1));
    ask(&app, &admin, BOB).await.expect_problem(403, "sensitive_action_required_reauth");
    admin.post("/api/users/@me/reauthenticate", json!({ "password": PASSWORD })).await.expect(200);
    ask(&app, &admin, BOB).await.expect(204);
    app.drain().await;
}

/// L10, L12: link and password together remove app and codes, end everything and tell the user; passkeys stay.
#[tokio::test(flavor = "multi_thread")]
async fn completion_removes_the_factors_and_ends_everything() {
    let (app, authenticator) = app().await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(BOB).await;
    let proof = json!({
        "login_id": pending["login_id"], "code": authenticator.code(app.now()), "remember_device": true,
    });
    browser.post("/api/login/two_factor", proof).await.expect(200);
    let mut key = Passkey::new(&app.origin());
    passkey::add(&app, &browser, &mut key).await;
    let on = json!({ "passkeys_enabled_for_2fa": true });
    browser.patch("/api/users/@me/two_factor", on).await.expect(200);
    let token = new_token(&app).await;
    let answer = complete(&app.browser(), &token, PASSWORD).await.expect(204);
    assert_eq!((answer.text.as_str(), answer.header("set-cookie")), ("", None));
    app.drain().await;
    browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    let counts = app.row_counts().await;
    assert_eq!((counts["totps"], counts["backup_codes"], counts["passkeys"]), (0, 0, 1));
    assert_eq!(counts["two_factor_passkeys"], 0);
    // Neither the app nor the passkey is asked for, and the trust in the browser is gone.
    let pending = browser.begin_login(BOB, PASSWORD).await;
    let code = code_in(&app.mail_to(BOB).await.text);
    browser.post("/api/login/email_mfa", json!({ "login_id": pending["login_id"], "code": code })).await.expect(200);
    passkey::try_passkey(&app.browser(), &mut key).await.expect(200);
    let mail = app.mails_about(BOB, DONE).await;
    assert_eq!(mail.len(), 1);
    assert!(mail[0].text.contains("passkeys stay") || mail[0].text.contains("passkeys"), "{}", mail[0].text);
    let user = app.user(BOB).await;
    assert_eq!(trail(&app, "two_factor_reset.complete").await[0].user_id, Some(user.id.0));
    let of_admin = trail(&app, "two_factor_reset.take_effect").await;
    assert_eq!((of_admin.len(), of_admin[0].user_id), (1, Some(app.user(ADA).await.id.0)));
    app.drain().await;
}

/// L10: the link alone does nothing, nor does a wrong password, which counts among the failures of the account.
#[tokio::test(flavor = "multi_thread")]
async fn the_mailbox_alone_is_not_enough() {
    let limit = Limit { count: 5, per_seconds: 1800 };
    let (app, _) = app_with(Settings::with(move |config| config.lockout.per_client = limit)).await;
    let token = new_token(&app).await;
    let browser = app.browser();
    for password in ["", OTHER_PASSWORD, &"x".repeat(2000), "wrong-lamp-below"] {
        let problem = complete(&browser, &token, password).await.expect_problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["code"], "incorrect_password", "{problem}");
    }
    browser.post_form(PAGE, &format!("token={token}&password=wrong")).await.expect(422);
    complete(&browser, &token, PASSWORD).await.expect_problem(403, "too_many_failed_attempts");
    assert!(is_asked_for_the_app(&app).await);
    // The link stays good, from elsewhere.
    complete(&app.browser(), &token, PASSWORD).await.expect(204);
    app.drain().await;
}

/// L11: the link of one user in the session of another one is refused, and stays good.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_session_of_somebody_else_is_refused() {
    let (app, _) = app().await;
    let token = new_token(&app).await;
    let other = signed_in(&app, EVE).await;
    complete(&other, &token, PASSWORD).await.expect_problem(403, "forbidden");
    other.post_form(PAGE, &format!("token={token}&password={PASSWORD}")).await.expect(403);
    assert!(is_asked_for_the_app(&app).await);
    let rows = trail(&app, "two_factor_reset.complete").await;
    assert!(rows.iter().all(|row| row.outcome == "failure") && rows.len() == 2);
    complete(&app.browser(), &token, PASSWORD).await.expect(204);
    app.drain().await;
}

/// L11: a newer link, a new password and a change of factors end the link.
#[tokio::test(flavor = "multi_thread")]
async fn what_changes_meanwhile_ends_the_link() {
    let (app, authenticator) = app().await;
    let first = new_token(&app).await;
    let second = new_token(&app).await;
    assert_ne!(first, second);
    complete(&app.browser(), &first, PASSWORD).await.expect_problem(400, "invalid_token");
    let browser = app.browser();
    let pending = browser.begin_two_factor(BOB).await;
    let proof = json!({ "login_id": pending["login_id"], "code": authenticator.code(app.now()) });
    browser.post("/api/login/two_factor", proof).await.expect(200);
    browser.delete("/api/users/@me/two_factor/totp").await.expect(204);
    complete(&app.browser(), &second, PASSWORD).await.expect_problem(400, "invalid_token");
    browser.enable_totp().await;
    app.advance(Duration::from_secs(3600));
    let third = new_token(&app).await;
    let change = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
    browser.post("/api/users/@me/password", change).await.expect(204);
    complete(&app.browser(), &third, OTHER_PASSWORD).await.expect_problem(400, "invalid_token");
    app.drain().await;
}

/// L11, T-RST-03: of twenty completions at once one has the effect.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_spent_once() {
    let (app, _) = app().await;
    let token = new_token(&app).await;
    let browsers: Vec<_> = (0..20).map(|_| app.browser()).collect();
    let answers = join_all(browsers.iter().map(|browser| complete(browser, &token, PASSWORD))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 204).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 204) {
        answer.expect_problem(400, "invalid_token");
    }
    app.drain().await;
    assert_eq!(app.mails_about(BOB, DONE).await.len(), 1);
    assert_eq!(trail(&app, "two_factor_reset.take_effect").await.len(), 1);
}

/// L13: a link that was good and is too old says so; what is no link, or was forged, does not.
#[tokio::test(flavor = "multi_thread")]
async fn expired_and_invalid_are_told_apart() {
    let (app, _) = app().await;
    let token = new_token(&app).await;
    app.advance(Duration::from_secs(DAY - 60));
    two_factor_reset::validate(&app.kernel, &token).await.unwrap();
    app.advance(Duration::from_secs(61));
    complete(&app.browser(), &token, PASSWORD).await.expect_problem(400, "reset_link_expired");
    let page = app.browser().get(&format!("{PAGE}?token={token}")).await.expect(400);
    assert!(page.text.contains("The link has expired"), "{}", page.text);
    let forged = SignedId::new(SignedId::parse(&token).unwrap().id, [7; 32]).to_text();
    for wrong in ["", "x", &token[..63], &forged] {
        complete(&app.browser(), wrong, PASSWORD).await.expect_problem(400, "invalid_token");
    }
    // Spent is invalid, however old it is.
    let fresh = new_token(&app).await;
    complete(&app.browser(), &fresh, PASSWORD).await.expect(204);
    app.advance(Duration::from_secs(2 * DAY));
    complete(&app.browser(), &fresh, PASSWORD).await.expect_problem(400, "invalid_token");
    app.drain().await;
}

/// L13: sending again is limited, for the user and for the administrator.
#[tokio::test(flavor = "multi_thread")]
async fn sending_again_is_limited() {
    let (app, _) = app().await;
    let admin = signed_in(&app, ADA).await;
    for _ in 0..3 {
        ask(&app, &admin, BOB).await.expect(204);
    }
    let problem = ask(&app, &admin, BOB).await.expect_problem(429, "throttled");
    assert!(problem["retry_after_seconds"].as_i64().unwrap() > 0, "{problem}");
    app.drain().await;
    // Of those that wait only the newest is still good.
    assert_eq!(app.mails_about(BOB, SUBJECT).await.len(), 1);
    assert_eq!(app.count_jobs("two_factor_reset.send_link", JobState::Cancelled).await, 2);
    app.advance(Duration::from_secs(1200));
    ask(&app, &admin, BOB).await.expect(204);
    app.drain().await;
    assert_eq!(app.mails_about(BOB, SUBJECT).await.len(), 2);
}

/// C11: the page behind the link works without scripts; opening it spends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_behind_the_link_spends_nothing_until_it_is_sent() {
    let (app, _) = app().await;
    let token = new_token(&app).await;
    let browser = app.browser();
    for _ in 0..3 {
        let page = browser.get(&format!("{PAGE}?token={token}")).await.expect(200);
        assert!(page.text.contains(&token) && page.text.contains("type=\"password\""), "{}", page.text);
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    }
    assert!(is_asked_for_the_app(&app).await);
    let wrong = browser.post_form(PAGE, &format!("token={token}&password=wrong")).await.expect(422);
    assert!(wrong.text.contains("The password is wrong.") && wrong.text.contains(&token), "{}", wrong.text);
    let password = PASSWORD.replace('#', "%23");
    let done = browser.post_form(PAGE, &format!("token={token}&password={password}")).await.expect(200);
    assert!(done.text.contains("Two-factor authentication was reset"), "{}", done.text);
    assert_eq!(done.set_cookie("gatepost_session"), None);
    app.drain().await;
    assert!(!is_asked_for_the_app(&app).await);
    browser.get(&format!("{PAGE}?token={token}")).await.expect(400);
}

/// L10: without mail there is no such way, and no promise of one.
#[tokio::test(flavor = "multi_thread")]
async fn an_installation_without_mail_says_so() {
    let (app, _) = app().await;
    let admin = signed_in(&app, ADA).await;
    let mut config = (*app.kernel.config).clone();
    config.mail.url = shared::secret::Redacted::new("none://".to_owned());
    let silent = app.gateway_with_config(config);
    let there = app.browser().through(&silent);
    there.set_cookie("gatepost_session", &admin.cookie("gatepost_session").unwrap());
    ask(&app, &there, BOB).await.expect_problem(503, "email_not_available");
}
