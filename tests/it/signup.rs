//! Signing up: one answer for every address, one user per address, and nothing for hostile ones.

use std::time::Duration;

use harness::{Answer, Caller, OTHER_PASSWORD, PASSWORD, Settings, TestApp, code_in, smtp::SmtpServer, token_in};
use serde_json::json;
use shared::{
    email_mfa,
    users::{self, Email},
};

const NOTICE: &str = "You already have an account";

async fn sign_up(browser: &Caller<'_>, email: &str, password: &str) -> Answer {
    browser.post("/api/signup", json!({ "email": email, "password": password })).await
}

async fn login(browser: &Caller<'_>, email: &str, password: &str) -> Answer {
    browser.post("/api/login", json!({ "email": email, "password": password })).await
}

async fn count_users(app: &TestApp) -> usize {
    app.dump().await.lines().filter(|line| line.starts_with("users: ")).count()
}

/// What one sign-up costs and leaves: the answer, hashes, and jobs.
async fn measure(app: &TestApp, email: &str, password: &str) -> (String, u64, usize) {
    let hashes = app.hasher.computed();
    let answer = sign_up(&app.browser(), email, password).await.expect(202);
    let jobs = app.unfinished_jobs().await.len();
    app.drain().await;
    (answer.fingerprint(), app.hasher.computed() - hashes, jobs)
}

/// R09, W25: the answer, the number of hashes and the number of jobs say nothing about an address; its owner learns of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_existing_address_gets_the_same_answer_and_its_owner_a_mail() {
    let app = TestApp::new().await;
    app.browser().sign_up_verified("owner@example.com").await;
    app.browser().sign_up("unproven@example.com").await;
    let disabled = Email::parse("disabled@example.com").unwrap();
    app.browser().sign_up_verified(disabled.address()).await;
    let user = users::find_by_email(app.kernel.db.reader(), &disabled).await.unwrap().unwrap();
    users::disable(&app.kernel, user.id).await.unwrap();
    let mails = app.count_mails(disabled.address()).await;

    let unknown = measure(&app, "nobody@example.com", OTHER_PASSWORD).await;
    assert_eq!((unknown.1, unknown.2), (1, 1));
    for known in ["owner@example.com", "unproven@example.com", "disabled@example.com"] {
        assert_eq!(measure(&app, known, OTHER_PASSWORD).await, unknown, "{known}");
    }
    let notice = app.mail_to("owner@example.com").await;
    assert_eq!(notice.subject, NOTICE);
    assert!(notice.text.contains("/reset") && !notice.text.contains("token="), "{}", notice.text);
    assert_eq!(app.count_mails(disabled.address()).await, mails, "a disabled user gets no mail");
    login(&app.browser(), "owner@example.com", OTHER_PASSWORD).await.expect_problem(401, "invalid_credentials");
    let right = login(&app.browser(), "owner@example.com", PASSWORD).await.expect(200);
    assert_eq!(right.json()["status"], "email_mfa_required");
    app.drain().await;
}

/// R09: one mail for each attempt, to the owner and to nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_on_an_existing_address_mails_its_owner_only() {
    let app = TestApp::new().await;
    app.browser().sign_up_verified("owner@example.com").await;
    let before = app.mails().await.len();
    sign_up(&app.browser(), "OWNER@example.com", OTHER_PASSWORD).await.expect(202);
    app.drain().await;
    let mails = app.mails().await;
    assert_eq!(mails.len(), before + 1);
    assert_eq!((mails[0].to.as_str(), mails[0].subject.as_str()), ("owner@example.com", NOTICE));
    let owner = Email::parse("owner@example.com").unwrap();
    assert!(users::find_by_email(app.kernel.db.reader(), &owner).await.unwrap().unwrap().is_verified());
}

/// A10, W31: case and surrounding blanks make no second user, and sign in the first one.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_compared_without_case_and_blanks() {
    let app = TestApp::new().await;
    let browser = app.browser();
    sign_up(&browser, " Ann@Example.COM ", PASSWORD).await.expect(202);
    app.drain().await;
    let code = code_in(&app.mail_to("Ann@example.com").await.text);
    let proof = json!({ "email": "ANN@EXAMPLE.com\t", "code": code });
    browser.post("/api/email_verification/confirm", proof).await.expect(200);
    sign_up(&app.browser(), "ann@example.com", OTHER_PASSWORD).await.expect(202);
    app.drain().await;
    assert_eq!(app.mail_to("Ann@example.com").await.subject, NOTICE);
    assert_eq!(count_users(&app).await, 1);
    for spelling in ["ann@example.com", "ANN@EXAMPLE.COM", "\n aNN@example.com  ", "Ann@Example.com."] {
        let answer = login(&app.browser(), spelling, PASSWORD).await.expect(200).json();
        assert_eq!(answer["status"], "email_mfa_required", "{spelling:?}");
    }
    app.drain().await;
}

/// A11: a domain and its punycode form are one address.
#[tokio::test(flavor = "multi_thread")]
async fn a_domain_and_its_punycode_form_are_the_same_account() {
    let app = TestApp::new().await;
    app.browser().sign_up("ann@xn--bcher-kva.example").await;
    sign_up(&app.browser(), "ann@B\u{dc}CHER.example", OTHER_PASSWORD).await.expect(202);
    app.drain().await;
    assert_eq!(count_users(&app).await, 1);
    // Composed and decomposed, and the ideographic full stop, are spellings of the same domain too.
    for spelling in
        ["b\u{fc}cher.example", "bu\u{308}cher.example", "b\u{fc}cher\u{3002}example", "XN--BCHER-KVA.EXAMPLE"]
    {
        let answer = login(&app.browser(), &format!("ann@{spelling}"), PASSWORD).await.expect(200).json();
        assert_eq!(answer["status"], "email_verification_required", "{spelling}");
    }
    app.drain().await;
}

/// A10: two sign-ups for one address at once make one user.
#[tokio::test(flavor = "multi_thread")]
async fn two_sign_ups_for_one_address_at_once_make_one_user() {
    let app = TestApp::new().await;
    let (one, two) = (app.browser(), app.browser());
    let (first, second) =
        tokio::join!(sign_up(&one, "ann@example.com", PASSWORD), sign_up(&two, "Ann@example.com", OTHER_PASSWORD));
    assert_eq!(first.expect(202).fingerprint(), second.expect(202).fingerprint());
    app.drain().await;
    assert_eq!(count_users(&app).await, 1);
}

/// W19: what a stranger set up before the proof is worth nothing once the reader of the mailbox proves the address.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_takes_effect_with_the_link_of_its_own_sign_up() {
    let app = TestApp::new().await;
    sign_up(&app.browser(), "ann@example.com", OTHER_PASSWORD).await.expect(202);
    app.drain().await;
    let strangers = token_in(&app.mail_to("ann@example.com").await.text);
    sign_up(&app.browser(), "ann@example.com", PASSWORD).await.expect(202);
    app.drain().await;
    login(&app.browser(), "ann@example.com", PASSWORD).await.expect_problem(401, "invalid_credentials");
    let own = token_in(&app.mail_to("ann@example.com").await.text);
    sign_up(&app.browser(), "ANN@example.com", OTHER_PASSWORD).await.expect(202);
    app.drain().await;
    assert_eq!(app.count_mails("ann@example.com").await, 3, "mails go to the address on record");
    let browser = app.browser();
    browser.post("/api/email_verification/confirm", json!({ "token": own })).await.expect(200);
    login(&app.browser(), "ann@example.com", OTHER_PASSWORD).await.expect_problem(401, "invalid_credentials");
    assert_eq!(login(&browser, "ann@example.com", PASSWORD).await.json()["status"], "email_mfa_required");
    let late = app.browser().post("/api/email_verification/confirm", json!({ "token": strangers })).await;
    late.expect_problem(400, "invalid_token");
    app.drain().await;
}

/// A09: an installation without mail asks nobody to verify; it fails closed at the step that needs mail.
#[tokio::test(flavor = "multi_thread")]
async fn without_mail_nobody_is_asked_to_verify() {
    let app =
        TestApp::with(Settings::with(|config| config.mail.url = shared::secret::Redacted::new("none://".into()))).await;
    let browser = app.browser();
    sign_up(&browser, "ann@example.com", PASSWORD).await.expect(202);
    assert_eq!(app.unfinished_jobs().await, Vec::<String>::new());
    login(&browser, "ann@example.com", PASSWORD).await.expect_problem(503, "email_not_available");
    login(&browser, "ann@example.com", OTHER_PASSWORD).await.expect_problem(401, "invalid_credentials");
    let resend = browser.post("/api/email_verification/resend", json!({ "email": "ann@example.com" })).await;
    resend.expect_problem(503, "email_not_available");

    let email = Email::parse("ann@example.com").unwrap();
    let user = users::find_by_email(app.kernel.db.reader(), &email).await.unwrap().unwrap();
    email_mfa::grant_bypass(&app.kernel, user.id, Duration::from_secs(3600), "no mail here").await.unwrap();
    let signed_in = login(&browser, "ann@example.com", PASSWORD).await.expect(200).json();
    assert_eq!((&signed_in["status"], &signed_in["user"]["email_verified"]), (&json!("signed_in"), &json!(false)));
    browser.get("/api/users/@me").await.expect(200);
}

/// R10: five sign-ups a day from one network; the sixth is told when to come back, and costs no hash.
#[tokio::test(flavor = "multi_thread")]
async fn the_sixth_sign_up_of_a_day_from_one_network_is_refused() {
    let app = TestApp::new().await;
    for number in 0..5 {
        // Another address of the same /64 is the same network.
        let browser = app.browser_at(&format!("2001:db8::{number}"));
        sign_up(&browser, &format!("ann{number}@example.com"), PASSWORD).await.expect(202);
    }
    let hashes = app.hasher.computed();
    let browser = app.browser_at("2001:db8::ffff:1");
    let refused = sign_up(&browser, "ann5@example.com", PASSWORD).await;
    let problem = refused.expect_problem(429, "throttled");
    assert_eq!(app.hasher.computed(), hashes);
    let wait = problem["retry_after_seconds"].as_u64().unwrap();
    assert_eq!(refused.header("retry-after"), Some(wait.to_string().as_str()));
    assert!((1..=86_400).contains(&wait), "{wait}");
    sign_up(&app.browser_at("2001:db8:0:1::1"), "ann6@example.com", PASSWORD).await.expect(202);
    app.drain().await;

    app.advance(Duration::from_secs(wait - 60));
    sign_up(&browser, "ann5@example.com", PASSWORD).await.expect_problem(429, "throttled");
    app.advance(Duration::from_secs(61));
    sign_up(&browser, "ann5@example.com", PASSWORD).await.expect(202);
    app.drain().await;
    assert_eq!(app.count_mails("ann5@example.com").await, 1);
}

/// T-MAIL-07, Q12: what could break out of an address is refused wherever an address is read, and nothing is sent.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_addresses_are_refused_and_nothing_is_sent() {
    let app = TestApp::new().await;
    let long = format!("ann@{}.example", "b".repeat(330));
    for email in [
        "ann@example.com\r\nBcc: eve@example.com",
        "ann\r\nBcc:eve@example.com",
        "ann@example.com\n.\n",
        "ann@example.com\r\n.\r\nMAIL FROM:<eve@example.com>",
        "\"ann eve\"@example.com",
        "\"ann\\\"\"@example.com",
        "Eve <ann@example.com>",
        "<ann@example.com>",
        "ann@example.com, eve@example.com",
        "ann@example.com eve@example.com",
        "ann\u{ff20}example.com",
        "ann@example.com\u{ff20}eve.example",
        "ann\u{fe6b}example.com",
        "ann@[127.0.0.1]",
        "ann@exam\u{2028}ple.com",
        "ann@example.com%0d%0aBcc:eve@example.com",
        &long,
    ] {
        let refused = sign_up(&app.browser(), email, PASSWORD).await;
        let problem = refused.expect_problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/email", "{email:?}: {problem}");
        assert_eq!(problem["errors"].as_array().map(Vec::len), Some(1), "{email:?}: {problem}");
        app.browser().post("/api/reset", json!({ "email": email })).await.expect(204);
        app.browser().post("/api/email_verification/resend", json!({ "email": email })).await.expect(202);
        login(&app.browser(), email, PASSWORD).await.expect_problem(401, "invalid_credentials");
    }
    app.drain().await;
    assert!(app.mails().await.is_empty());
    assert_eq!(count_users(&app).await, 0);
}

/// T-MAIL-07: a real mail server sees one recipient and the headers of Gatepost, whatever the user wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_sees_one_recipient_and_no_header_of_the_users() {
    let server = SmtpServer::start().await.unwrap();
    let url = server.url().replacen("smtp://", "smtp+insecure://", 1);
    let app = TestApp::with(Settings::with(|config| config.mail.url = shared::secret::Redacted::new(url))).await;
    let body =
        json!({ "email": "o'hara+{{7*7}}%n@example.com", "password": PASSWORD, "first_name": "Bcc: eve@example.com" });
    app.browser().post("/api/signup", body).await.expect(202);
    app.drain().await;
    let messages = server.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].rcpts, ["o'hara+{{7*7}}%n@example.com"]);
    let mut names: Vec<String> = messages[0].headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    let expected = ["auto-submitted", "content-type", "date", "from", "message-id", "mime-version", "subject", "to"];
    assert_eq!(names, expected);
    let sent = server.transcript().into_iter().filter(|entry| entry.line.starts_with("RCPT TO")).count();
    assert_eq!(sent, 1);
    assert!(!messages[0].raw.contains("eve@example.com"), "{}", messages[0].raw);
}
