//! Setting the new password: once, and what else happens then.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::{OTHER_PASSWORD, PASSWORD, TestApp, code_in, log::Capture, token_in};
use serde_json::json;
use shared::{audit, clock::Timestamp, password, sessions, users};

use super::{
    ADA, FRESH_PASSWORD, SESSION, app_with_ada, assert_dead, complete, mailed_token, new_token, request, try_password,
    validate,
};

/// C06, T-RST-03: twenty at once, and one of them sets its password.
#[tokio::test(flavor = "multi_thread")]
async fn complete_twenty_times_at_once_succeeds_once() {
    let app = app_with_ada().await;
    let token = new_token(&app, ADA).await;
    let browser = app.browser();
    let passwords: Vec<_> = (0..20).map(|number| format!("{FRESH_PASSWORD}-{number}")).collect();
    let answers = join_all(passwords.iter().map(|password| complete(&browser, &token, password))).await;
    let winners: Vec<_> = (0..20).filter(|number| answers[*number].status == 200).collect();
    assert_eq!(winners.len(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.expect_problem(400, "invalid_token");
    }
    app.drain().await;
    let changed = app.mails().await.iter().filter(|mail| mail.subject == "Your password was changed").count();
    assert_eq!(changed, 1);
    app.browser().log_in(ADA, &passwords[winners[0]]).await;
}

/// C06, T-RST-03: by the API or by the page.
#[tokio::test(flavor = "multi_thread")]
async fn complete_with_a_spent_link_is_refused() {
    let app = app_with_ada().await;
    for is_page in [false, true] {
        let token = new_token(&app, ADA).await;
        let done = if is_page {
            app.browser().post_form("/reset", &format!("token={token}&password={FRESH_PASSWORD}")).await
        } else {
            complete(&app.browser(), &token, FRESH_PASSWORD).await
        };
        assert_eq!(done.expect(200).set_cookie(SESSION), None);
        app.drain().await;
        assert_dead(&app, &token).await;
    }
}

/// C06, C08, W06: what ends the link while the new password is being hashed counts.
#[tokio::test(flavor = "multi_thread")]
async fn complete_after_a_change_in_between_is_refused() {
    let app = app_with_ada().await;
    let user = app.user(ADA).await;
    let token = new_token(&app, ADA).await;
    let (hashes, browser) = (app.hasher.computed(), app.browser());
    let (tx, now) = (app.kernel.db.write_tx().await.unwrap(), app.kernel.clock.now());
    let auth_epoch = users::bump_epoch(&*tx, user.id, now).await.unwrap();
    sessions::settle(&tx, user.id, None, auth_epoch, now).await.unwrap();
    let change = async {
        // The link has been checked once the new password is hashed; from there it waits for this transaction.
        let begin = Instant::now();
        while app.hasher.computed() == hashes {
            assert!(begin.elapsed() < Duration::from_secs(20), "nothing is hashed");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tx.commit().await.unwrap();
    };
    let (answer, ()) = tokio::join!(complete(&browser, &token, FRESH_PASSWORD), change);
    answer.expect_problem(400, "invalid_token");
    try_password(&app.browser(), ADA, FRESH_PASSWORD).await.expect_problem(401, "invalid_credentials");
    app.browser().log_in(ADA, PASSWORD).await;
}

/// C12: every rule that fails is told, and the link stays good.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_leaves_the_link_good() {
    let app = app_with_ada().await;
    let token = new_token(&app, ADA).await;
    let browser = app.browser();
    for password in ["", "short", "password1", ADA, &"x".repeat(1025)] {
        let problem = complete(&browser, &token, password).await.expect_problem(422, "validation_failed");
        let errors = problem["errors"].as_array().unwrap();
        assert!(!errors.is_empty() && errors.iter().all(|error| error["pointer"] == "/password"), "{problem}");
        let page = browser.post_form("/reset", &format!("token={token}&password={password}")).await.expect(422);
        assert!(page.text.contains(&token), "{}", page.text);
    }
    try_password(&browser, ADA, PASSWORD).await.expect(200);
    complete(&browser, &token, FRESH_PASSWORD).await.expect(200);
    app.drain().await;
}

/// C13, T-RST-05: whoever has the link has no session, and the next login asks for everything.
#[tokio::test(flavor = "multi_thread")]
async fn completion_signs_nobody_in() {
    let app = app_with_ada().await;
    let token = new_token(&app, ADA).await;
    let browser = app.browser();
    let answer = complete(&browser, &token, FRESH_PASSWORD).await.expect(200);
    assert_eq!((answer.json(), answer.header("set-cookie")), (json!({ "status": "completed" }), None));
    browser.get("/api/users/@me").await.expect(401);
    assert_eq!(app.row_counts().await["sessions"], 0);
    app.drain().await;
    browser.log_in(ADA, FRESH_PASSWORD).await;
}

/// C14, T-RST-05, W27: sessions of all kinds, trusted devices, logins that wait, and the old password.
#[tokio::test(flavor = "multi_thread")]
async fn completion_ends_everything_that_the_user_holds() {
    let app = app_with_ada().await;
    let trusted = app.browser();
    let pending = trusted.begin_login(ADA, PASSWORD).await;
    let code = code_in(&app.mail_to(ADA).await.text);
    let proof = json!({ "login_id": pending["login_id"], "code": code, "remember_device": true });
    trusted.post("/api/login/email_mfa", proof).await.expect(200);
    let wish = json!({ "email": ADA, "password": PASSWORD, "session_transport": "token" });
    let login = trusted.post("/api/login", wish).await.expect(200).json();
    let program = app.browser().bearer(login["session"]["token"].as_str().unwrap());
    trusted.post("/api/login", json!({ "email": ADA, "password": PASSWORD })).await.expect(200);
    let waiting = app.browser();
    let pending = waiting.begin_login(ADA, PASSWORD).await;
    let code = code_in(&app.mail_to(ADA).await.text);
    for caller in [&trusted, &program] {
        caller.get("/api/users/@me").await.expect(200);
    }

    let token = new_token(&app, ADA).await;
    complete(&app.browser(), &token, FRESH_PASSWORD).await.expect(200);
    app.drain().await;
    for caller in [&trusted, &program] {
        caller.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    }
    let late = waiting.post("/api/login/email_mfa", json!({ "login_id": pending["login_id"], "code": code })).await;
    late.expect_problem(400, "login_expired");
    try_password(&trusted, ADA, PASSWORD).await.expect_problem(401, "invalid_credentials");
    let login = try_password(&trusted, ADA, FRESH_PASSWORD).await.expect(200).json();
    assert_eq!(login["status"], "email_mfa_required", "{login}");
    app.drain().await;
}

/// C15, Q06, T-RST-05, W27: when, from where and with what; and that API keys should be looked through.
#[tokio::test(flavor = "multi_thread")]
async fn completion_tells_the_user() {
    let app = app_with_ada().await;
    let token = new_token(&app, ADA).await;
    complete(&app.browser_at("198.51.100.7"), &token, FRESH_PASSWORD).await.expect(200);
    app.drain().await;
    let mail = app.mail_to(ADA).await;
    assert_eq!(mail.subject, "Your password was changed");
    let event = audit::list(app.kernel.db.reader(), "recovery.complete", 1).await.unwrap().remove(0);
    let minute = event.at.to_string().replace('T', " ");
    let time = format!("{} UTC", &minute[..16]);
    for fact in [time.as_str(), "198.51.100.7", "Firefox on Linux", "API keys"] {
        assert!(mail.text.contains(fact) && mail.html.contains(fact), "{fact} is not in: {}", mail.text);
    }
    assert_eq!((event.outcome.as_str(), event.ip.as_deref()), ("success", Some("198.51.100.7")));
}

/// C19: the link proves the address; what someone else prepared before the proof is void.
#[tokio::test(flavor = "multi_thread")]
async fn completion_proves_the_address_and_voids_what_was_before() {
    let app = TestApp::new().await;
    let attacker = app.browser();
    attacker.sign_up(ADA).await;
    let first = app.mail_to(ADA).await.text;
    let again = json!({ "email": ADA, "password": OTHER_PASSWORD });
    attacker.post("/api/signup", again).await.expect(202);
    app.drain().await;
    let second = app.mail_to(ADA).await.text;
    assert!(!app.user(ADA).await.is_verified());

    let token = new_token(&app, ADA).await;
    complete(&app.browser(), &token, FRESH_PASSWORD).await.expect(200);
    app.drain().await;
    assert!(app.user(ADA).await.is_verified());
    for text in [first, second] {
        for proof in [json!({ "token": token_in(&text) }), json!({ "email": ADA, "code": code_in(&text) })] {
            attacker.post("/api/email_verification/confirm", proof).await.expect_problem(400, "invalid_token");
        }
    }
    for password in [PASSWORD, OTHER_PASSWORD] {
        try_password(&attacker, ADA, password).await.expect_problem(401, "invalid_credentials");
    }
    app.browser().log_in(ADA, FRESH_PASSWORD).await;
}

/// C19: a proven address stays proven since when it was.
#[tokio::test(flavor = "multi_thread")]
async fn completion_leaves_an_earlier_proof_alone() {
    let app = app_with_ada().await;
    let proven_at = app.user(ADA).await.email_verified_at;
    assert!(proven_at.is_some_and(|at| at > Timestamp(0)));
    app.advance(Duration::from_secs(60));
    let token = new_token(&app, ADA).await;
    complete(&app.browser(), &token, FRESH_PASSWORD).await.expect(200);
    app.drain().await;
    assert_eq!(app.user(ADA).await.email_verified_at, proven_at);
}

/// C20, T-RST-05: neither token nor password is in a log, the audit trail, a job or any other table.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_leaves_no_trace() {
    let app = app_with_ada().await;
    let log = Capture::start();
    let browser = app.browser();
    request(&browser, ADA).await.expect(204);
    let queued = app.dump().await;
    app.drain().await;
    let token = mailed_token(&app, ADA).await;
    let page = browser.get(&format!("/reset?token={token}")).await.expect(200);
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    validate(&browser, &token).await.expect(200);
    complete(&browser, &token, "password1").await.expect(422);
    complete(&browser, &token, FRESH_PASSWORD).await.expect(200);
    let page = browser.get(&format!("/reset?token={token}")).await.expect(400);
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert!(!page.text.contains(&token));
    assert_dead(&app, &token).await;
    app.drain().await;
    let (log, dump) = (log.text(), app.dump().await);
    assert!(log.contains("/api/reset/complete") && log.contains("job ended"), "the log was not captured");
    assert!(dump.contains("recovery.complete") && dump.contains(ADA), "the dump shows no values");
    let mac = token.get(22..).unwrap();
    for secret in [token.as_str(), mac, FRESH_PASSWORD] {
        assert!(!log.contains(secret) && !dump.contains(secret) && !queued.contains(secret), "{secret}");
    }
    assert!(!log.contains(ADA), "an address is in the log");
}

/// C14: the new hash replaces the old one.
#[tokio::test(flavor = "multi_thread")]
async fn completion_keeps_one_hash_per_user() {
    let app = app_with_ada().await;
    let user = app.user(ADA).await;
    let before = password::find(app.kernel.db.reader(), user.id).await.unwrap().unwrap();
    let token = new_token(&app, ADA).await;
    complete(&app.browser(), &token, FRESH_PASSWORD).await.expect(200);
    app.drain().await;
    let after = password::find(app.kernel.db.reader(), user.id).await.unwrap().unwrap();
    assert_ne!(before, after);
    assert_eq!(app.row_counts().await["passwords"], 1);
    assert_eq!(app.user(ADA).await.auth_epoch, user.auth_epoch + 1);
}
