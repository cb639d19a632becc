//! The e-mail step of a login: what a code and a link can do, for whom, how often and for how long.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

use std::time::Duration;

use futures_util::future::join_all;
use harness::{
    Answer, Caller, OTHER_PASSWORD, PASSWORD, Settings, TestApp, code_in, free_port,
    smtp::{Fault, SmtpServer, Stage},
    token_in,
};
use poem::http::Method;
use serde_json::{Value, json};
use shared::{
    clock::Timestamp,
    email_mfa::{self, Attempt},
    jobs::JobState,
    secret::Redacted,
    users,
};

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@byron.test";
const SESSION: &str = "gatepost_session";
const LOGIN: &str = "gatepost_login";
const DEVICE: &str = "gatepost_device";

async fn app_with_ada() -> TestApp {
    let app = TestApp::new().await;
    app.browser().sign_up_verified(ADA).await;
    app
}

async fn try_password(caller: &Caller<'_>, email: &str) -> Answer {
    caller.post("/api/login", json!({ "email": email, "password": PASSWORD })).await
}

async fn try_code(caller: &Caller<'_>, pending: &Value, code: &str) -> Answer {
    caller.post("/api/login/email_mfa", json!({ "login_id": pending["login_id"], "code": code })).await
}

async fn try_link(caller: &Caller<'_>, token: &str) -> Answer {
    caller.post("/api/login/email_mfa", json!({ "token": token })).await
}

/// The mailed code and the token of the mailed link.
async fn mailed(app: &TestApp, email: &str) -> (String, String) {
    let text = app.mail_to(email).await.text;
    (code_in(&text), token_in(&text))
}

fn another(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

/// The code of a pending login before any worker has mailed it.
async fn code_of(app: &TestApp, pending: &Value, email: &str) -> String {
    let user = app.user(email).await;
    let login_id = pending["login_id"].as_str().and_then(|id| id.parse().ok()).expect("a login");
    let key_id = app.kernel.keys.current().to_owned();
    let attempt = Attempt { login_id, send: 1, user_id: user.id, auth_epoch: user.auth_epoch, key_id };
    attempt.code(&app.kernel.keys).expect("a code")
}

/// Settings of an installation whose mails go to this SMTP server.
fn through_smtp(port: u16) -> Settings {
    Settings::with(move |config| config.mail.url = Redacted::new(format!("smtp+insecure://127.0.0.1:{port}")))
}

/// Makes the address count as proven, where no mail can prove it.
async fn mark_verified(app: &TestApp) {
    app.execute("UPDATE users SET email_verified_at = created_at").await;
}

/// J01: the answer names the pending login and masks the address; the mail follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_is_answered_with_a_pending_login() {
    let app = app_with_ada().await;
    let browser = app.browser();
    let answer = try_password(&browser, ADA).await.expect(200);
    let login = answer.json();
    assert_eq!((&login["status"], login.get("user")), (&json!("email_mfa_required"), None), "{login}");
    let pending = &login["email_mfa"];
    assert_eq!(pending["masked_email"], "a***@l***.test");
    assert!(!answer.text.contains(ADA) && !answer.text.contains("lovelace"), "{}", answer.text);
    assert!(pending["expires_at"].is_string() && pending["login_id"].is_string(), "{login}");
    assert_eq!((&pending["resend_after_seconds"], pending.get("login_token")), (&json!(60), None), "{login}");
    let binding = answer.set_cookie(LOGIN).unwrap();
    assert!(binding.contains("HttpOnly") && binding.contains("SameSite=Lax"), "{binding}");
    assert_eq!(answer.set_cookie(SESSION), None);
    assert_eq!(app.count_jobs("email_mfa.send_login_code", JobState::Queued).await, 1);
    app.drain().await;
    assert_eq!(app.mail_to(ADA).await.subject, "Your code to sign in");
}

/// J02, T-MAIL-01, T-CLK-01: to the second, for code and link, with no sweep.
#[tokio::test(flavor = "multi_thread")]
async fn code_and_link_are_good_for_fifteen_minutes() {
    let app = app_with_ada().await;
    let begin = async || {
        let browser = app.browser();
        let pending = browser.begin_login(ADA, PASSWORD).await;
        (browser, pending, mailed(&app, ADA).await)
    };
    let newest = "SELECT MAX(created_at) AS number FROM logins";
    let (browser, pending, (code, token)) = begin().await;
    let created_at = Timestamp(app.number(newest).await);
    let late = app.gateway_at(created_at + Duration::from_secs(900));
    let browser = browser.through(&late);
    try_code(&browser, &pending, &code).await.expect_problem(400, "login_expired");
    try_link(&browser, &token).await.expect_problem(400, "login_expired");
    let in_time = app.gateway_at(created_at + Duration::from_secs(899));
    try_code(&browser.through(&in_time), &pending, &code).await.expect(200);

    let (browser, _, (_, token)) = begin().await;
    let in_time = app.gateway_at(Timestamp(app.number(newest).await) + Duration::from_secs(899));
    try_link(&browser.through(&in_time), &token).await.expect(200);
}

/// J02: once, whichever of the two was used.
#[tokio::test(flavor = "multi_thread")]
async fn code_and_link_work_once() {
    let app = app_with_ada().await;
    for is_code_first in [true, false] {
        let browser = app.browser();
        let pending = browser.begin_login(ADA, PASSWORD).await;
        let binding = browser.cookie(LOGIN).unwrap();
        let (code, token) = mailed(&app, ADA).await;
        let first =
            if is_code_first { try_code(&browser, &pending, &code).await } else { try_link(&browser, &token).await };
        assert_eq!(first.expect(200).json()["session"]["amr"], json!(["pwd", "email"]));
        assert_eq!(browser.cookie(LOGIN), None);
        browser.set_cookie(LOGIN, &binding);
        try_code(&browser, &pending, &code).await.expect_problem(400, "login_not_found");
        try_link(&browser, &token).await.expect_problem(400, "login_not_found");
    }
}

/// J02: neither code, link nor binding is in the database.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_holds_neither_code_nor_link() {
    let app = app_with_ada().await;
    let browser = app.browser();
    browser.begin_login(ADA, PASSWORD).await;
    let (code, token) = mailed(&app, ADA).await;
    let dump = app.dump().await;
    assert!(dump.contains(ADA), "the dump shows no values");
    assert!(!dump.contains(&token) && !dump.contains(&browser.cookie(LOGIN).unwrap()));
    assert!(!dump.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| word == code));
}

/// J03, T-MAIL-03: code and link are for the browser that began; elsewhere they do nothing and use nothing up.
#[tokio::test(flavor = "multi_thread")]
async fn code_and_link_are_refused_in_another_browser() {
    let app = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_login(ADA, PASSWORD).await;
    let (code, token) = mailed(&app, ADA).await;
    // One without any cookie, and one that began a login of its own.
    let (elsewhere, other) = (app.browser(), app.browser());
    let pending_of_other = other.begin_login(ADA, PASSWORD).await;
    for stranger in [&elsewhere, &other] {
        try_code(stranger, &pending, &code).await.expect_problem(400, "login_not_found");
        try_link(stranger, &token).await.expect_problem(400, "login_not_found");
        let page = stranger.get(&format!("/login/email?token={token}")).await.expect(200);
        assert_eq!(page.header("set-cookie"), None);
        let page = stranger.post_form("/login/email", &format!("token={token}")).await.expect(400);
        assert_eq!(page.set_cookie(SESSION), None);
        assert_eq!(stranger.cookie(SESSION), None);
    }
    // The code of one login is no code of another one.
    try_code(&other, &pending_of_other, &code).await.expect_problem(401, "invalid_code");
    try_code(&browser, &pending, &code).await.expect(200);
}

/// J03: a client that keeps tokens is bound by the token that it was given.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_cookies_is_bound_by_its_login_token() {
    let app = app_with_ada().await;
    let client = app.browser();
    let wish = json!({ "email": ADA, "password": PASSWORD, "session_transport": "token" });
    let answer = client.post("/api/login", wish).await.expect(200);
    assert_eq!(answer.header("set-cookie"), None);
    let pending = answer.json()["email_mfa"].clone();
    app.drain().await;
    let (code, _) = mailed(&app, ADA).await;
    let complete = async |login_token: Value| {
        let body = json!({ "login_id": pending["login_id"], "code": code, "login_token": login_token });
        client.post("/api/login/email_mfa", body).await
    };
    complete(Value::Null).await.expect_problem(400, "login_not_found");
    complete(json!(format!("gplt_{}", "A".repeat(43)))).await.expect_problem(400, "login_not_found");
    let answer = complete(pending["login_token"].clone()).await.expect(200);
    assert_eq!(answer.header("set-cookie"), None);
    let session_token = answer.json()["session"]["token"].as_str().unwrap().to_owned();
    app.browser().bearer(&session_token).get("/api/users/@me").await.expect(200);
    assert!(!app.dump().await.contains(&session_token));
}

/// T-MAIL-02, J03: a scanner opens the link; the page does nothing before its button is pressed, and that once.
#[tokio::test(flavor = "multi_thread")]
async fn opening_the_link_does_nothing() {
    let app = app_with_ada().await;
    let browser = app.browser();
    browser.begin_login(ADA, PASSWORD).await;
    let (_, token) = mailed(&app, ADA).await;
    let (rows, address) = (app.row_counts().await, format!("/login/email?token={token}"));
    for scanner in [&app.browser(), &browser] {
        for method in [Method::HEAD, Method::GET, Method::GET, Method::GET, Method::GET, Method::GET] {
            let page = scanner.send(method, &address, None).await.expect(200);
            assert_eq!((page.header("set-cookie"), page.header("referrer-policy")), (None, Some("no-referrer")));
        }
    }
    assert_eq!(app.row_counts().await, rows);
    let binding = browser.cookie(LOGIN).unwrap();
    let page = browser.post_form("/login/email", &format!("token={token}")).await.expect(200);
    assert!(page.text.contains("You are signed in"), "{}", page.text);
    assert_eq!(browser.get("/api/users/@me").await.expect(200).json()["email"], ADA);
    browser.set_cookie(LOGIN, &binding);
    browser.post_form("/login/email", &format!("token={token}")).await.expect(400);
    assert_eq!(app.row_counts().await["sessions"], rows["sessions"] + 1);
}

/// T-MAIL-02: at the same moment, too.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_completions_at_once_open_one_session() {
    let app = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_login(ADA, PASSWORD).await;
    let (code, token) = mailed(&app, ADA).await;
    let attempts =
        (0..20).map(|number| {
            let (browser, pending, code, token) = (&browser, &pending, &code, &token);
            async move {
                if number % 2 == 0 { try_code(browser, pending, code).await } else { try_link(browser, token).await }
            }
        });
    let answers = join_all(attempts).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.expect_problem(400, "login_not_found");
    }
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM sessions").await, 1);
}

/// J04: the fifth wrong code ends the attempt, for the right code and the link as well.
#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_codes_end_the_attempt() {
    let app = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_login(ADA, PASSWORD).await;
    let (code, token) = mailed(&app, ADA).await;
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    for _ in 0..4 {
        try_code(&browser, &pending, another(&code)).await.expect_problem(401, "invalid_code");
    }
    for last in [another(&code), &code] {
        try_code(&browser, &pending, last).await.expect_problem(429, "too_many_attempts");
    }
    try_link(&browser, &token).await.expect_problem(429, "too_many_attempts");
    let resend = browser.post("/api/login/email_mfa/resend", json!({ "login_id": pending["login_id"] })).await;
    resend.expect_problem(429, "too_many_attempts");
    browser.get("/api/users/@me").await.expect(401);
    // A new attempt is not affected.
    browser.log_in(ADA, PASSWORD).await;
}

/// J04: guesses at the same moment are counted like those one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_once_are_counted_each() {
    let app = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_login(ADA, PASSWORD).await;
    let (code, _) = mailed(&app, ADA).await;
    let wrong = another(&code);
    let answers = join_all((0..20).map(|_| try_code(&browser, &pending, wrong))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 4);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 16);
    assert_eq!(app.number("SELECT CAST(attempts AS BIGINT) AS number FROM logins").await, 5);
    try_code(&browser, &pending, &code).await.expect_problem(429, "too_many_attempts");
}

/// J05: once a minute, five times an hour for the user, the first send included.
#[tokio::test(flavor = "multi_thread")]
async fn sends_are_limited() {
    let app = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_login(ADA, PASSWORD).await;
    let wish = json!({ "login_id": pending["login_id"] });
    let resend = async || browser.post("/api/login/email_mfa/resend", wish.clone()).await;
    let wait = async |answer: Answer| {
        answer.expect_problem(429, "throttled");
        answer.header("retry-after").and_then(|text| text.parse::<u64>().ok()).expect("seconds")
    };
    for _ in 0..4 {
        let seconds = wait(resend().await).await;
        assert!((1..=60).contains(&seconds), "{seconds}");
        app.advance(Duration::from_secs(60));
        resend().await.expect(202);
    }
    app.drain().await;
    let mails = app.count_mails(ADA).await;
    app.advance(Duration::from_secs(60));
    let seconds = wait(resend().await).await;
    assert!((61..=720).contains(&seconds), "{seconds}");
    // A refused send leaves the one before it in force, and a further login sends none either.
    assert!(wait(try_password(&app.browser(), ADA).await).await > 60);
    app.drain().await;
    assert_eq!(app.count_mails(ADA).await, mails);
    let (code, _) = mailed(&app, ADA).await;
    try_code(&browser, &pending, &code).await.expect(200);
    app.advance(Duration::from_secs(seconds));
    app.browser().log_in(ADA, PASSWORD).await;
}

/// J06: code and link of the send before are void.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_send_replaces_the_one_before() {
    let app = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_login(ADA, PASSWORD).await;
    let (first_code, first_token) = mailed(&app, ADA).await;
    app.advance(Duration::from_secs(60));
    let stranger = app.browser();
    let wish = json!({ "login_id": pending["login_id"] });
    stranger.post("/api/login/email_mfa/resend", wish.clone()).await.expect_problem(400, "login_not_found");
    browser.post("/api/login/email_mfa/resend", wish).await.expect(202);
    app.drain().await;
    let (code, token) = mailed(&app, ADA).await;
    assert_ne!(token, first_token);
    try_link(&browser, &first_token).await.expect_problem(401, "invalid_code");
    if first_code != code {
        try_code(&browser, &pending, &first_code).await.expect_problem(401, "invalid_code");
    }
    try_code(&browser, &pending, &code).await.expect(200);
}

/// J07: without mail the login is refused, never granted.
#[tokio::test(flavor = "multi_thread")]
async fn without_mail_a_login_is_refused() {
    let app = TestApp::with(Settings::with(|config| config.mail.url = Redacted::new("none://".to_owned()))).await;
    app.browser().sign_up(ADA).await;
    mark_verified(&app).await;
    let browser = app.browser();
    let answer = try_password(&browser, ADA).await;
    answer.expect_problem(503, "email_not_available");
    assert_eq!((browser.cookie(SESSION), browser.cookie(LOGIN)), (None, None));
    let made = "SELECT (SELECT COUNT(*) FROM logins) + (SELECT COUNT(*) FROM sessions) AS number";
    assert_eq!(app.number(made).await, 0);
}

/// J07: while the relay is down the login waits for its code; it is not granted.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_relay_is_down_a_login_waits() {
    let app = TestApp::with(through_smtp(free_port())).await;
    app.browser().sign_up(ADA).await;
    mark_verified(&app).await;
    let browser = app.browser();
    let pending = try_password(&browser, ADA).await.expect(200).json()["email_mfa"].clone();
    app.drain().await;
    assert_eq!(app.count_jobs("email_mfa.send_login_code", JobState::Retrying).await, 1);
    browser.get("/api/users/@me").await.expect(401);
    let wrong = another(&code_of(&app, &pending, ADA).await);
    try_code(&browser, &pending, wrong).await.expect_problem(401, "invalid_code");
    app.forget_jobs();
}

/// J07: whoever's server refused the mail for good is told so at the next try, until a day has passed.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_recipient_is_not_let_in_without_a_code() {
    let server = SmtpServer::start().await.unwrap();
    let app = TestApp::with(through_smtp(server.addr().port())).await;
    app.browser().sign_up(ADA).await;
    mark_verified(&app).await;
    server.script(vec![Fault::reply(Stage::RcptTo, 550, "5.1.1 no such mailbox")]);
    let browser = app.browser();
    assert_eq!(try_password(&browser, ADA).await.json()["status"], "email_mfa_required");
    app.drain().await;
    assert_eq!(app.count_jobs("email_mfa.send_login_code", JobState::Dead).await, 1);
    try_password(&browser, ADA).await.expect_problem(503, "email_not_available");
    browser.get("/api/users/@me").await.expect(401);
    app.advance(Duration::from_secs(86_401));
    assert_eq!(try_password(&browser, ADA).await.json()["status"], "email_mfa_required");
    app.drain().await;
    assert_eq!(server.messages_to(ADA).len(), 2);
}

/// J07, W04: for one user, until its time is over, with an audit row that has the reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_bypass_is_explicit_limited_and_audited() {
    let app = app_with_ada().await;
    app.browser().sign_up_verified(BOB).await;
    let user = app.user(ADA).await;
    email_mfa::grant_bypass(&app.kernel, user.id, Duration::from_secs(600), "mailbox is gone").await.unwrap();
    let grant = shared::audit::list(app.kernel.db.reader(), "email_mfa.grant_bypass", 2).await.unwrap();
    assert_eq!((grant.len(), grant[0].user_id), (1, Some(user.id.0)));
    assert!(grant[0].detail.contains("mailbox is gone") && grant[0].detail.contains("until"), "{}", grant[0].detail);
    assert_eq!(try_password(&app.browser(), ADA).await.json()["status"], "signed_in");
    assert_eq!(try_password(&app.browser(), BOB).await.json()["status"], "email_mfa_required");
    app.advance(Duration::from_secs(600));
    assert_eq!(try_password(&app.browser(), ADA).await.json()["status"], "email_mfa_required");
    app.drain().await;
}

/// J08: the same user on a live session is not asked for a code, and gets no mail.
#[tokio::test(flavor = "multi_thread")]
async fn re_authentication_asks_for_no_code() {
    let app = app_with_ada().await;
    let browser = app.browser();
    browser.log_in(ADA, PASSWORD).await;
    let (rows, mails) = (app.row_counts().await, app.count_mails(ADA).await);
    assert_eq!(try_password(&browser, ADA).await.json()["status"], "signed_in");
    let after = app.row_counts().await;
    assert_eq!((after["jobs"], after["logins"]), (rows["jobs"], rows["logins"]));
    assert_eq!(app.count_mails(ADA).await, mails);
}

/// J09: a login that waits ends with a change of the password.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_change_ends_what_waits() {
    let app = app_with_ada().await;
    let owner = app.browser();
    owner.log_in(ADA, PASSWORD).await;
    let browser = app.browser();
    let pending = browser.begin_login(ADA, PASSWORD).await;
    let (code, token) = mailed(&app, ADA).await;
    let change = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
    owner.post("/api/users/@me/password", change).await.expect(204);
    try_code(&browser, &pending, &code).await.expect_problem(400, "login_expired");
    try_link(&browser, &token).await.expect_problem(400, "login_expired");
    browser.get("/api/users/@me").await.expect(401);
    app.drain().await;
}

/// Trusts a browser of this user, and signs out.
async fn trusted_browser<'a>(app: &'a TestApp, email: &str) -> Caller<'a> {
    let browser = app.browser();
    let pending = browser.begin_login(email, PASSWORD).await;
    let (code, _) = mailed(app, email).await;
    let body = json!({ "login_id": pending["login_id"], "code": code, "remember_device": true });
    browser.post("/api/login/email_mfa", body).await.expect(200);
    browser.post("/api/logout", json!({})).await.expect(204);
    browser
}

/// J10: only when it was chosen, in a cookie of its own, for this step.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_trusted_when_it_was_asked_for() {
    let app = app_with_ada().await;
    let plain = app.browser();
    plain.log_in(ADA, PASSWORD).await;
    assert_eq!(plain.cookie(DEVICE), None);
    let browser = app.browser();
    browser.begin_login(ADA, PASSWORD).await;
    let (_, token) = mailed(&app, ADA).await;
    let page = browser.post_form("/login/email", &format!("token={token}&remember_device=yes")).await.expect(200);
    let cookie = page.set_cookie(DEVICE).unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let of_this_step = "SELECT COUNT(*) AS number FROM trusted_devices WHERE method = 'email_mfa'";
    assert_eq!(app.number(of_this_step).await, 1);
    assert!(!app.dump().await.contains(&browser.cookie(DEVICE).unwrap()));
    browser.post("/api/logout", json!({})).await.expect(204);
    assert_eq!(try_password(&browser, ADA).await.json()["status"], "signed_in");
    // The trust is in this step; as soon as it is in another one it does not skip this one.
    app.execute("UPDATE trusted_devices SET method = 'totp'").await;
    browser.post("/api/logout", json!({})).await.expect(204);
    assert_eq!(try_password(&browser, ADA).await.json()["status"], "email_mfa_required");
    app.drain().await;
}

/// J10, T-SESS-11: for one user, for thirty days, until the password changes; a bad cookie is the same as none.
#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_device_helps_its_user_only_and_not_for_ever() {
    let app = app_with_ada().await;
    app.browser().sign_up_verified(BOB).await;
    let browser = trusted_browser(&app, ADA).await;
    assert_eq!(try_password(&browser, BOB).await.json()["status"], "email_mfa_required");
    let bad = app.browser();
    for value in ["", "x", "gpdv_", &"y".repeat(3000)] {
        bad.set_cookie(DEVICE, value);
        assert_eq!(try_password(&bad, ADA).await.expect(200).json()["status"], "email_mfa_required", "{value}");
        app.advance(Duration::from_secs(3600));
    }
    app.drain().await;
    let trusted_at = Timestamp(app.number("SELECT created_at AS number FROM trusted_devices").await);
    let last_day = app.gateway_at(trusted_at + Duration::from_secs(2_591_999));
    let browser = browser.through(&last_day);
    assert_eq!(try_password(&browser, ADA).await.json()["status"], "signed_in");
    browser.post("/api/logout", json!({})).await.expect(204);
    let too_late = app.gateway_at(trusted_at + Duration::from_secs(2_592_000));
    assert_eq!(try_password(&browser.through(&too_late), ADA).await.json()["status"], "email_mfa_required");
    app.advance(Duration::from_secs(2_592_000));
    app.drain().await;

    let browser = trusted_browser(&app, ADA).await;
    assert_eq!(try_password(&browser, ADA).await.json()["status"], "signed_in");
    let change = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
    browser.post("/api/users/@me/password", change).await.expect(204);
    browser.post("/api/logout", json!({})).await.expect(204);
    browser.begin_login(ADA, OTHER_PASSWORD).await;
}

/// J11: of a login that has ended.
#[tokio::test(flavor = "multi_thread")]
async fn no_code_is_mailed_for_a_finished_login() {
    let app = app_with_ada().await;
    let (browser, mails) = (app.browser(), app.count_mails(ADA).await);
    let pending = try_password(&browser, ADA).await.expect(200).json()["email_mfa"].clone();
    let code = code_of(&app, &pending, ADA).await;
    try_code(&browser, &pending, &code).await.expect(200);
    app.drain().await;
    assert_eq!(app.count_jobs("email_mfa.send_login_code", JobState::Cancelled).await, 1);
    assert_eq!(app.count_mails(ADA).await, mails);
}

/// J11: of a login that is too old.
#[tokio::test(flavor = "multi_thread")]
async fn no_code_is_mailed_for_an_expired_login() {
    let app = app_with_ada().await;
    let mails = app.count_mails(ADA).await;
    try_password(&app.browser(), ADA).await.expect(200);
    app.advance(Duration::from_secs(900));
    app.drain().await;
    assert_eq!(app.count_jobs("email_mfa.send_login_code", JobState::Expired).await, 1);
    assert_eq!(app.count_mails(ADA).await, mails);
}

/// J11: of a send that was replaced, and of a user who was disabled meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn no_code_is_mailed_that_could_not_be_used() {
    let app = app_with_ada().await;
    let (browser, mails) = (app.browser(), app.count_mails(ADA).await);
    let pending = try_password(&browser, ADA).await.expect(200).json()["email_mfa"].clone();
    app.advance(Duration::from_secs(60));
    browser.post("/api/login/email_mfa/resend", json!({ "login_id": pending["login_id"] })).await.expect(202);
    app.drain().await;
    assert_eq!(app.count_mails(ADA).await, mails + 1);
    let (code, _) = mailed(&app, ADA).await;
    try_code(&browser, &pending, &code).await.expect(200);

    try_password(&app.browser(), ADA).await.expect(200);
    users::disable(&app.kernel, app.user(ADA).await.id).await.unwrap();
    app.drain().await;
    assert_eq!(app.count_mails(ADA).await, mails + 1);
    assert_eq!(app.count_jobs("email_mfa.send_login_code", JobState::Cancelled).await, 2);
}
