//! Lockout: who is held off by which failures, for how long, and who is not.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

use std::time::Duration;

use futures_util::future::join_all;
use harness::{Answer, Caller, OTHER_PASSWORD, PASSWORD, Settings, TestApp, code_in, token_in};
use serde_json::{Value, json};
use shared::{
    audit,
    config::{Config, load_from},
    rate_limit::Limit,
};

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@byron.test";
const NOBODY: &str = "nobody@lovelace.test";
const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

/// With the limits that ship, changed, and two users.
async fn app_with(change: impl FnOnce(&mut Config) + Send + 'static) -> TestApp {
    let app = TestApp::with(Settings::with(|config| {
        config.lockout = load_from(None, std::iter::empty()).expect("the defaults").lockout;
        change(config);
    }))
    .await;
    for email in [ADA, BOB] {
        app.browser().sign_up_verified(email).await;
    }
    app
}

async fn app() -> TestApp {
    app_with(|_| {}).await
}

async fn attempt(caller: &Caller<'_>, email: &str, password: &str) -> Answer {
    caller.post("/api/login", json!({ "email": email, "password": password })).await
}

async fn fail(caller: &Caller<'_>, email: &str, times: usize) {
    for _ in 0..times {
        attempt(caller, email, OTHER_PASSWORD).await.expect_problem(401, "invalid_credentials");
    }
}

async fn try_code(caller: &Caller<'_>, pending: &Value, code: &str) -> Answer {
    caller.post("/api/login/email_mfa", json!({ "login_id": pending["login_id"], "code": code })).await
}

#[track_caller]
fn assert_locked(answer: &Answer) {
    let problem = answer.expect_problem(403, "too_many_failed_attempts");
    assert_eq!(problem["detail"], "Too many failed login attempts. Please try again in 30 minutes.");
    let wait: u64 = answer.header("retry-after").and_then(|text| text.parse().ok()).expect("Retry-After");
    assert!((1..=1800).contains(&wait), "{wait}");
    assert_eq!(answer.header("set-cookie"), None);
}

/// P01, P02: the right password is refused too, without a hash, for half an hour to the second.
#[tokio::test(flavor = "multi_thread")]
async fn five_failures_lock_for_half_an_hour() {
    let app = app().await;
    let browser = app.browser();
    fail(&browser, ADA, 4).await;
    app.advance(Duration::from_secs(1700));
    fail(&browser, ADA, 1).await;
    let hashes = app.hasher.computed();
    for password in [OTHER_PASSWORD, PASSWORD] {
        assert_locked(&attempt(&browser, ADA, password).await);
    }
    app.advance(Duration::from_secs(1740));
    assert_locked(&attempt(&browser, " ADA@Lovelace.TEST ", PASSWORD).await);
    assert_eq!(app.hasher.computed(), hashes);
    app.advance(Duration::from_secs(60));
    browser.log_in(ADA, PASSWORD).await;
    app.drain().await;
}

/// P01: five within half an hour; older ones do not count.
#[tokio::test(flavor = "multi_thread")]
async fn failures_that_are_far_apart_lock_nobody() {
    let app = app().await;
    let browser = app.browser();
    for _ in 0..6 {
        fail(&browser, ADA, 2).await;
        app.advance(HALF_AN_HOUR);
    }
    browser.log_in(ADA, PASSWORD).await;
}

/// P03: a login begins the count anew; a right password alone does not, or codes could be guessed without end.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_resets_the_count_and_a_right_password_alone_does_not() {
    let app = app().await;
    let browser = app.browser();
    for _ in 0..3 {
        fail(&browser, ADA, 4).await;
        browser.log_in(ADA, PASSWORD).await;
        browser.clear_cookies();
    }
    let browser = app.browser();
    fail(&browser, ADA, 4).await;
    // Counted before it is verified, and given back.
    browser.begin_login(ADA, PASSWORD).await;
    app.advance(Duration::from_secs(1));
    fail(&browser, ADA, 1).await;
    assert_locked(&attempt(&browser, ADA, PASSWORD).await);
    app.drain().await;
}

/// P04: neither the user elsewhere nor other users behind the same address.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_holds_for_one_account_from_one_network() {
    let app = app().await;
    let attacker = app.browser_at("203.0.113.9");
    fail(&attacker, ADA, 5).await;
    for _ in 0..200 {
        assert_locked(&attempt(&attacker, ADA, OTHER_PASSWORD).await);
    }
    app.browser().log_in(ADA, PASSWORD).await;
    app.browser_at("203.0.113.9").log_in(BOB, PASSWORD).await;
    // The owner's success elsewhere does not help the attacker.
    assert_locked(&attempt(&attacker, ADA, OTHER_PASSWORD).await);
}

/// P05, P11: guesses from everywhere are slowed down, not locked, and the owner hears of it once.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_from_many_networks_are_slowed_down() {
    let app = app().await;
    let hashes = app.hasher.computed();
    for number in 0..70 {
        let answer = attempt(&app.browser(), ADA, OTHER_PASSWORD).await;
        if number < 50 {
            answer.expect_problem(401, "invalid_credentials");
        } else {
            answer.expect_problem(429, "throttled");
            assert!(answer.header("retry-after").is_some());
        }
    }
    assert_eq!(app.hasher.computed(), hashes + 50);
    app.drain().await;
    let mails = app.mails().await;
    let notices = mails.iter().filter(|mail| mail.subject == "Failed attempts to sign in to your account").count();
    assert_eq!(notices, 1);
    // It is over by itself: one further attempt every 72 seconds.
    app.advance(Duration::from_secs(72));
    app.browser().log_in(ADA, PASSWORD).await;
    app.browser().log_in(BOB, PASSWORD).await;
}

/// T-LOGIN-04, P01: attempts at the same moment are counted each.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_attempts_at_once_verify_five() {
    let app = app().await;
    let (browser, hashes) = (app.browser(), app.hasher.computed());
    let answers = join_all((0..50).map(|_| attempt(&browser, ADA, OTHER_PASSWORD))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 5);
    for answer in answers.iter().filter(|answer| answer.status != 401) {
        assert_locked(answer);
    }
    assert_eq!(app.hasher.computed(), hashes + 5);
    let counted = "SELECT MAX(attempts) AS number FROM lockouts WHERE key LIKE 'client:%'";
    assert_eq!(app.number(counted).await, 5);
    app.drain().await;
}

/// T-LOGIN-05, P09, T-RATE-01: every gateway of the installation counts in one place, before and after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn gateways_share_the_count() {
    let app = app().await;
    let (second, restarted) = (app.another_gateway().await, app.another_gateway().await);
    let one = app.browser_at("203.0.113.9");
    let two = app.browser_at("203.0.113.9").through(&second);
    fail(&one, ADA, 3).await;
    fail(&two, ADA, 2).await;
    for caller in [&one, &two, &app.browser_at("203.0.113.9").through(&restarted)] {
        assert_locked(&attempt(caller, ADA, PASSWORD).await);
    }
    app.drain().await;
}

/// T-LOGIN-06, P03: a success with one account forgives no failure with another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_success_forgives_only_its_own_account() {
    let app = app_with(|config| config.login.per_network = Limit { count: 8, per_seconds: 3600 }).await;
    let browser = app.browser();
    fail(&browser, ADA, 3).await;
    browser.log_in(BOB, PASSWORD).await;
    fail(&browser, ADA, 2).await;
    assert_locked(&attempt(&browser, ADA, OTHER_PASSWORD).await);
    // Nor does it reset what the network may try: that was the sixth of its eight attempts.
    fail(&browser, NOBODY, 2).await;
    attempt(&browser, NOBODY, OTHER_PASSWORD).await.expect_problem(429, "throttled");
    app.drain().await;
}

/// P07: what is answered and what is written is the same for an address without an account.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_addresses_are_counted_like_known_ones() {
    let app = app().await;
    let mut seen = Vec::new();
    for email in [ADA, NOBODY, "no address"] {
        let (browser, rows, hashes) = (app.browser(), app.row_counts().await, app.hasher.computed());
        let mut answers = Vec::new();
        for _ in 0..7 {
            answers.push(attempt(&browser, email, OTHER_PASSWORD).await.fingerprint());
        }
        let mut added = app.row_counts().await;
        for (table, count) in &mut added {
            *count -= rows[table];
        }
        seen.push((answers, added, app.hasher.computed() - hashes));
    }
    assert_eq!((seen[0].2, seen[0].1["jobs"], seen[0].1["audit_events"]), (5, 1, 6), "{seen:?}");
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
    app.drain().await;
    assert_eq!(app.count_mails(NOBODY).await, 0);
    let dump = app.dump().await;
    assert!(dump.lines().filter(|line| line.starts_with("lockouts")).all(|line| !line.contains("lovelace")));
}

/// P08: wrong passwords and wrong codes are one count, and it holds for the right code as well.
#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_codes_share_the_count() {
    let app = app().await;
    let browser = app.browser();
    fail(&browser, ADA, 3).await;
    let pending = browser.begin_login(ADA, PASSWORD).await;
    let code = code_in(&app.mail_to(ADA).await.text);
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for _ in 0..2 {
        try_code(&browser, &pending, wrong).await.expect_problem(401, "invalid_code");
    }
    assert_locked(&try_code(&browser, &pending, &code).await);
    assert_locked(&attempt(&browser, ADA, PASSWORD).await);
    app.drain().await;
    // What was refused used no try of the pending login up.
    assert_eq!(app.number("SELECT CAST(MAX(attempts) AS BIGINT) AS number FROM logins").await, 2);
}

/// P08: wrong app codes and wrong backup codes count like wrong passwords, and a right one is not verified after them.
#[tokio::test(flavor = "multi_thread")]
async fn second_factors_share_the_count() {
    let app = app().await;
    let owner = app.browser();
    owner.log_in(ADA, PASSWORD).await;
    let (authenticator, codes) = owner.enable_totp().await;
    let stranger = app.browser_at("203.0.113.9");
    fail(&stranger, ADA, 2).await;
    let login_id = stranger.begin_two_factor(ADA).await["login_id"].clone();
    let (step, now) = (Duration::from_secs(30), app.now());
    let near = [now - step, now, now + step].map(|at| authenticator.code(at));
    let wrong = (0..10).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).unwrap();
    let wrong_proofs = [json!({ "code": wrong }), json!({ "code": wrong }), json!({ "backup_code": "AAAAA-AAAAA" })];
    let right_proofs = [json!({ "code": authenticator.code(app.now()) }), json!({ "backup_code": codes[0] })];
    for (proof, is_wrong) in wrong_proofs.into_iter().zip([true; 3]).chain(right_proofs.into_iter().zip([false; 2])) {
        let mut body = proof;
        body["login_id"] = login_id.clone();
        let answer = stranger.post("/api/login/two_factor", body).await;
        if is_wrong {
            answer.expect_problem(401, "invalid_code");
        } else {
            assert_locked(&answer);
        }
    }
    assert_locked(&attempt(&stranger, ADA, PASSWORD).await);
    app.drain().await;
}

/// P10: other numbers, and none at all.
#[tokio::test(flavor = "multi_thread")]
async fn every_limit_can_be_changed_and_switched_off() {
    let strict = app_with(|config| config.lockout.per_client = Limit { count: 1, per_seconds: 60 }).await;
    let browser = strict.browser();
    fail(&browser, ADA, 1).await;
    let problem = attempt(&browser, ADA, PASSWORD).await.expect_problem(403, "too_many_failed_attempts");
    assert_eq!(problem["detail"], "Too many failed login attempts. Please try again in 1 minutes.");
    strict.advance(Duration::from_secs(60));
    browser.log_in(ADA, PASSWORD).await;

    let off = Limit { count: 0, per_seconds: 1 };
    let open = app_with(move |config| {
        (config.lockout.per_client, config.lockout.per_account, config.lockout.in_a_row) = (off, off, 0);
    })
    .await;
    fail(&open.browser(), ADA, 110).await;
    assert_eq!(open.number("SELECT COUNT(*) AS number FROM lockouts").await, 0);
    open.browser().log_in(ADA, PASSWORD).await;
}

/// P12: one audit row for each lock, one mail for each window.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_audited_and_its_owner_told_once() {
    let app = app().await;
    let mails = app.count_mails(ADA).await;
    let (first, second) = (app.browser_at("203.0.113.9"), app.browser_at("203.0.113.10"));
    for browser in [&first, &second] {
        fail(browser, ADA, 5).await;
        assert_locked(&attempt(browser, ADA, PASSWORD).await);
    }
    app.drain().await;
    let events = audit::list(app.kernel.db.reader(), "lockout.lock", 10).await.unwrap();
    let user_id = app.user(ADA).await.id.0;
    let origins: Vec<_> = events.iter().map(|event| event.ip.as_deref().unwrap()).collect();
    assert_eq!(origins, ["203.0.113.10", "203.0.113.9"]);
    assert!(events.iter().all(|event| event.user_id == Some(user_id) && event.outcome == "failure"), "{events:?}");
    assert_eq!(app.count_mails(ADA).await, mails + 1);
    let mail = app.mail_to(ADA).await;
    assert_eq!(mail.subject, "Failed attempts to sign in to your account");
    for fact in ["203.0.113.9", "Firefox on Linux", " UTC"] {
        assert!(mail.text.contains(fact) && mail.html.contains(fact), "{}", mail.text);
    }
    // The next window tells again.
    app.advance(Duration::from_secs(3600));
    fail(&first, ADA, 5).await;
    app.drain().await;
    assert_eq!(app.count_mails(ADA).await, mails + 2);
}

/// T-LOGIN-10: a hundred in a row, however slow and from wherever, disable the password, and nothing but it.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_failures_in_a_row_disable_the_password() {
    let app = app().await;
    let owner = app.browser();
    owner.log_in(ADA, PASSWORD).await;
    let waiting = app.browser();
    for _ in 0..33 {
        fail(&app.browser(), ADA, 3).await;
        // A further code for a login that waits is no success.
        app.advance(Duration::from_secs(3600));
    }
    let pending = waiting.begin_login(BOB, PASSWORD).await;
    app.advance(Duration::from_secs(60));
    waiting.post("/api/login/email_mfa/resend", json!({ "login_id": pending["login_id"] })).await.expect(202);
    fail(&app.browser(), ADA, 1).await;
    let hashes = app.hasher.computed();
    for password in [PASSWORD, OTHER_PASSWORD] {
        attempt(&app.browser(), ADA, password).await.expect_problem(403, "authenticator_disabled");
    }
    assert_eq!(app.hasher.computed(), hashes);
    app.drain().await;
    let mail = app.mail_to(ADA).await;
    assert_eq!(mail.subject, "A way to sign in to your account is disabled");
    assert!(mail.text.contains("the password"), "{}", mail.text);
    assert_eq!(audit::list(app.kernel.db.reader(), "lockout.disable", 10).await.unwrap().len(), 1);
    // The account is not: sessions and other users go on, and a reset sets the password anew.
    owner.get("/api/users/@me").await.expect(200);
    app.browser().log_in(BOB, PASSWORD).await;
    let browser = app.browser();
    browser.post("/api/reset", json!({ "email": ADA })).await.expect(204);
    app.drain().await;
    let reset_token = token_in(&app.mail_to(ADA).await.text);
    let wish = json!({ "token": reset_token, "password": OTHER_PASSWORD });
    browser.post("/api/reset/complete", wish).await.expect(200);
    app.drain().await;
    app.browser().log_in(ADA, OTHER_PASSWORD).await;
}

/// T-LOGIN-10: one success in between, and the count begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn failures_with_a_success_in_between_disable_nothing() {
    let app = app_with(|config| config.lockout.in_a_row = 6).await;
    for _ in 0..3 {
        fail(&app.browser(), ADA, 4).await;
        app.browser().log_in(ADA, PASSWORD).await;
    }
}

/// P01: a reset proves the mailbox; who forgot the password need not wait after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_ends_the_lock_of_its_own_client() {
    let app = app().await;
    let (browser, attacker) = (app.browser_at("203.0.113.9"), app.browser_at("203.0.113.10"));
    fail(&browser, ADA, 5).await;
    fail(&attacker, ADA, 5).await;
    app.drain().await;
    browser.post("/api/reset", json!({ "email": ADA })).await.expect(204);
    app.drain().await;
    let reset_token = token_in(&app.mail_to(ADA).await.text);
    let wish = json!({ "token": reset_token, "password": OTHER_PASSWORD });
    browser.post("/api/reset/complete", wish).await.expect(200);
    app.drain().await;
    assert_locked(&attempt(&attacker, ADA, OTHER_PASSWORD).await);
    browser.log_in(ADA, OTHER_PASSWORD).await;
}

/// T-RATE-01: where the count cannot be read, nothing is verified.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_error_denies() {
    let app = app().await;
    let (browser, hashes) = (app.browser(), app.hasher.computed());
    app.execute("ALTER TABLE lockouts RENAME TO unreachable").await;
    let answer = attempt(&browser, ADA, PASSWORD).await;
    assert!(answer.status >= 500, "{}", answer.text);
    assert_eq!((answer.header("set-cookie"), app.hasher.computed()), (None, hashes));
    app.execute("ALTER TABLE unreachable RENAME TO lockouts").await;
    browser.log_in(ADA, PASSWORD).await;
}
