//! Proof of an address: by a code or a link, for that address only, and never a session.

use std::time::Duration;

use harness::{Answer, Caller, OTHER_PASSWORD, PASSWORD, TestApp, code_in, token_in};
use serde_json::{Value, json};
use shared::{
    audit,
    users::{self, Email},
};

const EMAIL: &str = "ann@example.com";

async fn confirm(browser: &Caller<'_>, proof: Value) -> Answer {
    browser.post("/api/email_verification/confirm", proof).await
}

async fn confirm_code(browser: &Caller<'_>, email: &str, code: &str) -> Answer {
    confirm(browser, json!({ "email": email, "code": code })).await
}

async fn resend(browser: &Caller<'_>, email: &str) -> Answer {
    browser.post("/api/email_verification/resend", json!({ "email": email })).await
}

/// Code and token of the newest mail.
async fn mailed(app: &TestApp, email: &str) -> (String, String) {
    let text = app.mail_to(email).await.text;
    (code_in(&text), token_in(&text))
}

/// A code that is not this one.
fn other_than(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

async fn is_verified(app: &TestApp, email: &str) -> bool {
    let email = Email::parse(email);
    match email {
        Ok(email) => users::find_by_email(app.kernel.db.reader(), &email)
            .await
            .ok()
            .flatten()
            .is_some_and(|user| user.is_verified()),
        Err(_) => false,
    }
}

/// R01: a code is good for thirty minutes, to the second.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_for_thirty_minutes() {
    let app = TestApp::new().await;
    let browser = app.browser();
    browser.sign_up("early@example.com").await;
    browser.sign_up("late@example.com").await;
    let ((early, _), (late, link)) = (mailed(&app, "early@example.com").await, mailed(&app, "late@example.com").await);
    app.advance(Duration::from_secs(1790));
    confirm_code(&browser, "early@example.com", &early).await.expect(200);
    app.advance(Duration::from_secs(11));
    confirm_code(&browser, "late@example.com", &late).await.expect_problem(400, "invalid_token");
    assert!(!is_verified(&app, "late@example.com").await);
    confirm(&browser, json!({ "token": link })).await.expect(200);
    assert!(is_verified(&app, "early@example.com").await && is_verified(&app, "late@example.com").await);
}

/// R01: after five wrong codes the right one is refused; the link of the same mail is not guessed and stays good.
#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_codes_kill_the_code_and_not_the_link() {
    let app = TestApp::new().await;
    let browser = app.browser();
    browser.sign_up(EMAIL).await;
    let (code, link) = mailed(&app, EMAIL).await;
    let wrong = confirm_code(&browser, EMAIL, other_than(&code)).await;
    for _ in 0..4 {
        let again = confirm_code(&app.browser(), EMAIL, other_than(&code)).await;
        assert_eq!(again.fingerprint(), wrong.fingerprint());
    }
    let right = confirm_code(&browser, EMAIL, &code).await;
    right.expect_problem(400, "invalid_token");
    assert_eq!(right.fingerprint(), wrong.fingerprint());
    assert!(!is_verified(&app, EMAIL).await);
    confirm(&browser, json!({ "token": link })).await.expect(200);
}

/// R01: four wrong codes leave the fifth try, also when they come at once.
#[tokio::test(flavor = "multi_thread")]
async fn the_fifth_try_may_be_the_right_one() {
    let app = TestApp::new().await;
    let browser = app.browser();
    browser.sign_up(EMAIL).await;
    let (code, _) = mailed(&app, EMAIL).await;
    let wrong = other_than(&code);
    tokio::join!(
        confirm_code(&browser, EMAIL, wrong),
        confirm_code(&browser, EMAIL, wrong),
        confirm_code(&browser, EMAIL, wrong),
        confirm_code(&browser, EMAIL, wrong),
    );
    let spaced = format!(" {} {} ", &code[..3], &code[3..]);
    confirm_code(&browser, EMAIL, &spaced).await.expect(200);
    let tries = audit::list(app.kernel.db.reader(), "email_verification.confirm", 10).await.unwrap();
    assert_eq!(tries.iter().filter(|row| row.outcome == "failure").count(), 4);
    assert_eq!(tries[0].outcome, "success");
}

/// R01: a link is good for a day.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_for_a_day() {
    let app = TestApp::new().await;
    let browser = app.browser();
    browser.sign_up("early@example.com").await;
    browser.sign_up("late@example.com").await;
    let ((_, early), (_, late)) = (mailed(&app, "early@example.com").await, mailed(&app, "late@example.com").await);
    app.advance(Duration::from_secs(86_390));
    confirm(&browser, json!({ "token": early })).await.expect(200);
    app.advance(Duration::from_secs(11));
    confirm(&browser, json!({ "token": late })).await.expect_problem(400, "invalid_token");
    assert!(!is_verified(&app, "late@example.com").await);
}

/// R01, T-MAIL-09: a code proves the address that it was mailed to, and no other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_for_one_address_proves_no_other() {
    let app = TestApp::new().await;
    let browser = app.browser();
    browser.sign_up("ann@example.com").await;
    browser.sign_up("bob@example.com").await;
    let ((anns, _), (bobs, _)) = (mailed(&app, "ann@example.com").await, mailed(&app, "bob@example.com").await);
    assert_ne!(anns, bobs, "the codes of this run collide");
    confirm_code(&browser, "bob@example.com", &anns).await.expect_problem(400, "invalid_token");
    confirm_code(&browser, "eve@example.com", &anns).await.expect_problem(400, "invalid_token");
    assert!(!is_verified(&app, "bob@example.com").await);
    confirm_code(&browser, "ann@example.com", &anns).await.expect(200);
    confirm_code(&browser, "bob@example.com", &bobs).await.expect(200);
}

/// R01, T-MAIL-09: every proof that is not good gets one answer, whatever is wrong with it, and nobody is verified.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_a_proof_the_answer_is_the_same() {
    let app = TestApp::new().await;
    let browser = app.browser();
    browser.sign_up(EMAIL).await;
    let (code, link) = mailed(&app, EMAIL).await;
    browser.post("/api/reset", json!({ "email": EMAIL })).await.expect(204);
    app.drain().await;
    let reset_link = token_in(&app.mail_to(EMAIL).await.text);
    assert_ne!(reset_link, link);
    let flipped = link.replacen(&link[40..41], if &link[40..41] == "A" { "B" } else { "A" }, 1);
    let expected = confirm(&browser, json!({ "token": "" })).await;
    expected.expect_problem(400, "invalid_token");
    for proof in [
        json!({}),
        json!({ "email": EMAIL }),
        json!({ "code": code }),
        json!({ "token": "x" }),
        json!({ "token": flipped }),
        json!({ "token": link[1..] }),
        json!({ "token": format!("{link}A") }),
        json!({ "token": reset_link }),
        json!({ "token": "x", "email": EMAIL, "code": code }),
        json!({ "email": "no address", "code": code }),
        json!({ "email": "nobody@example.com", "code": code }),
        json!({ "email": EMAIL, "code": other_than(&code) }),
        json!({ "email": EMAIL, "code": "" }),
        json!({ "email": EMAIL, "code": format!("{code}0") }),
    ] {
        let answer = confirm(&browser, proof.clone()).await;
        assert_eq!(answer.fingerprint(), expected.fingerprint(), "{proof}");
    }
    assert!(!is_verified(&app, EMAIL).await);
    confirm(&browser, json!({ "token": link })).await.expect(200);
}

/// R02, W07: a spent link of a proven address says again that a login comes next, and opens no session.
#[tokio::test(flavor = "multi_thread")]
async fn a_spent_link_answers_the_same_again_and_opens_no_session() {
    let app = TestApp::new().await;
    app.browser().sign_up(EMAIL).await;
    let (code, link) = mailed(&app, EMAIL).await;
    let browser = app.browser();
    let first = confirm(&browser, json!({ "token": link })).await.expect(200);
    assert_eq!(first.json(), json!({ "status": "login_required" }));
    for someone in [&browser, &app.browser()] {
        let again = confirm(someone, json!({ "token": link })).await.expect(200);
        assert_eq!(again.fingerprint(), first.fingerprint());
        assert!(again.headers.get("set-cookie").is_none());
        someone.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    }
    // A code is short: it is good once.
    confirm_code(&browser, EMAIL, &code).await.expect_problem(400, "invalid_token");
    let rows = audit::list(app.kernel.db.reader(), "email_verification.confirm", 10).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.outcome == "success").count(), 1);
}

/// R03, W07: proof by code or link opens no session; the login that follows asks for the second step.
#[tokio::test(flavor = "multi_thread")]
async fn proof_opens_no_session() {
    let app = TestApp::new().await;
    let browser = app.browser();
    browser.sign_up("ann@example.com").await;
    browser.sign_up("bob@example.com").await;
    let ((code, _), (_, link)) = (mailed(&app, "ann@example.com").await, mailed(&app, "bob@example.com").await);
    for proof in [json!({ "email": "ann@example.com", "code": code }), json!({ "token": link })] {
        let answer = confirm(&browser, proof).await.expect(200);
        assert_eq!(answer.json(), json!({ "status": "login_required" }));
        assert!(answer.headers.get("set-cookie").is_none());
    }
    browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    browser.begin_login("ann@example.com", PASSWORD).await;
    browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
}

/// R02: twenty confirmations at once spend the link once.
#[tokio::test(flavor = "multi_thread")]
async fn confirmations_at_once_spend_the_link_once() {
    let app = TestApp::new().await;
    app.browser().sign_up(EMAIL).await;
    let (_, link) = mailed(&app, EMAIL).await;
    let browser = app.browser();
    let attempts = (0..20).map(|_| confirm(&browser, json!({ "token": link })));
    for answer in futures_util::future::join_all(attempts).await {
        // One that lost the race before the commit may be refused; none may fail.
        assert!(matches!(answer.status, 200 | 400), "{}", answer.text);
    }
    let rows = audit::list(app.kernel.db.reader(), "email_verification.confirm", 30).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.outcome == "success").count(), 1);
    assert!(is_verified(&app, EMAIL).await);
}

/// R06: asking again is answered alike for every address, costs the same, and mails the unproven one only.
#[tokio::test(flavor = "multi_thread")]
async fn asking_again_is_answered_alike_for_every_address() {
    let app = TestApp::new().await;
    app.browser().sign_up("unproven@example.com").await;
    app.browser().sign_up_verified("proven@example.com").await;
    app.browser().sign_up("disabled@example.com").await;
    let disabled = Email::parse("disabled@example.com").unwrap();
    let user = users::find_by_email(app.kernel.db.reader(), &disabled).await.unwrap().unwrap();
    users::disable(&app.kernel, user.id).await.unwrap();
    let mails = app.mails().await.len();
    let mut answers = Vec::new();
    for email in ["unproven@example.com", "proven@example.com", "disabled@example.com", "unknown@example.com"] {
        let hashes = app.hasher.computed();
        let answer = resend(&app.browser(), email).await.expect(202);
        answers.push((answer.fingerprint(), app.unfinished_jobs().await.len(), app.hasher.computed() - hashes));
        app.drain().await;
    }
    assert_eq!((answers[0].1, answers[0].2), (1, 0));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!(resend(&app.browser(), "no address").await.fingerprint(), answers[0].0);
    assert_eq!(app.mails().await.len(), mails + 1);
    assert_eq!(app.count_mails("unproven@example.com").await, 2);
}

/// R01: a further mail replaces the code and leaves the earlier link good until one of them is used.
#[tokio::test(flavor = "multi_thread")]
async fn the_newest_code_counts() {
    let app = TestApp::new().await;
    let browser = app.browser();
    browser.sign_up(EMAIL).await;
    let (first, first_link) = mailed(&app, EMAIL).await;
    resend(&browser, EMAIL).await.expect(202);
    app.drain().await;
    let (second, _) = mailed(&app, EMAIL).await;
    assert_ne!(first, second, "the codes of this run collide");
    confirm_code(&browser, EMAIL, &first).await.expect_problem(400, "invalid_token");
    confirm_code(&browser, EMAIL, &second).await.expect(200);
    confirm(&browser, json!({ "token": first_link })).await.expect_problem(400, "invalid_token");
}

/// R10: above five mails an hour the answer stays the same and no mail goes out; another network is not affected.
#[tokio::test(flavor = "multi_thread")]
async fn the_sixth_resend_of_an_hour_sends_nothing() {
    let app = TestApp::new().await;
    app.browser().sign_up(EMAIL).await;
    let browser = app.browser();
    let allowed = resend(&browser, EMAIL).await.expect(202);
    for _ in 0..4 {
        resend(&browser, " ANN@example.com").await.expect(202);
    }
    app.drain().await;
    assert_eq!(app.count_mails(EMAIL).await, 6);
    let above = resend(&browser, EMAIL).await;
    assert_eq!(above.fingerprint(), allowed.fingerprint());
    assert_eq!(app.unfinished_jobs().await, Vec::<String>::new());
    resend(&app.browser(), EMAIL).await.expect(202);
    app.drain().await;
    assert_eq!(app.count_mails(EMAIL).await, 7);
    app.advance(Duration::from_secs(3600));
    resend(&browser, EMAIL).await.expect(202);
    app.drain().await;
    assert_eq!(app.count_mails(EMAIL).await, 8);
}

/// R10: logins while unproven mail within the same limit.
#[tokio::test(flavor = "multi_thread")]
async fn logins_while_unproven_share_the_limit_of_resends() {
    let app = TestApp::new().await;
    app.browser().sign_up(EMAIL).await;
    let browser = app.browser();
    for _ in 0..7 {
        let login = browser.post("/api/login", json!({ "email": EMAIL, "password": PASSWORD })).await.expect(200);
        assert_eq!(login.json(), json!({ "status": "email_verification_required" }));
        app.drain().await;
    }
    assert_eq!(app.count_mails(EMAIL).await, 6);
    let wrong = browser.post("/api/login", json!({ "email": EMAIL, "password": OTHER_PASSWORD })).await;
    wrong.expect_problem(401, "invalid_credentials");
    assert_eq!(app.unfinished_jobs().await, Vec::<String>::new());
}
