//! Signing in with a password: the order of checks, what is told to whom, and what a session replaces.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::{Answer, Caller, OTHER_PASSWORD, PASSWORD, Settings, TestApp, UNLIMITED, bench::Figures};
use serde_json::{Value, json};
use shared::{
    config::Config,
    domains::DomainsConfig,
    email_mfa,
    jobs::JobState,
    password::{self, HashPool, StoredPassword},
    rate_limit::Limit,
    secret::Redacted,
    users,
};

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@byron.test";
const SESSION: &str = "gatepost_session";

async fn try_password(caller: &Caller<'_>, email: &str, password: &str) -> Answer {
    caller.post("/api/login", json!({ "email": email, "password": password })).await
}

fn status_of(answer: Answer) -> String {
    answer.expect(200).json()["status"].as_str().expect("a status").to_owned()
}

async fn app_with_ada() -> TestApp {
    let app = TestApp::new().await;
    app.browser().sign_up_verified(ADA).await;
    app
}

fn enforcing(domain: &str, provider: &str) -> DomainsConfig {
    harness::enforcing(&[&format!("{domain}={provider}")])
}

#[track_caller]
fn assert_signed_in(answer: &Answer, email: &str) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let login = answer.json();
    assert_eq!(login["status"], "signed_in", "{login}");
    assert_eq!(login["user"]["email"], email, "{login}");
    assert!(login["session"]["id"].is_string() && login["session"].get("token").is_none(), "{login}");
    let cookie = answer.set_cookie(SESSION).expect("a session cookie");
    assert!(cookie.starts_with("gatepost_session=gpst_"), "{cookie}");
    login
}

/// A01: re-authentication needs nothing further.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_on_a_live_session_signs_in() {
    let app = app_with_ada().await;
    let browser = app.browser();
    browser.log_in(ADA, PASSWORD).await;
    let login = assert_signed_in(&try_password(&browser, ADA, PASSWORD).await, ADA);
    assert_eq!(login["session"]["amr"], json!(["pwd"]));
    browser.get("/api/users/@me").await.expect(200);
}

/// A01: a browser that passed the e-mail step and was remembered needs nothing further.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_on_a_trusted_device_signs_in() {
    let app = app_with_ada().await;
    let browser = app.browser();
    let pending = browser.begin_login(ADA, PASSWORD).await;
    let code = harness::code_in(&app.mail_to(ADA).await.text);
    let body = json!({ "login_id": pending["login_id"], "code": code, "remember_device": true });
    browser.post("/api/login/email_mfa", body).await.expect(200);
    browser.post("/api/logout", json!({})).await.expect(204);
    let login = assert_signed_in(&try_password(&browser, ADA, PASSWORD).await, ADA);
    assert_eq!(login["session"]["amr"], json!(["pwd"]));
    assert_eq!(browser.get("/api/users/@me").await.expect(200).json()["email"], ADA);
}

/// A01: a user whom an administrator granted a bypass needs nothing further.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_with_a_bypass_signs_in() {
    let app = app_with_ada().await;
    let user = app.user(ADA).await;
    email_mfa::grant_bypass(&app.kernel, user.id, Duration::from_secs(600), "lost mailbox").await.unwrap();
    let browser = app.browser();
    assert_signed_in(&try_password(&browser, ADA, PASSWORD).await, ADA);
    browser.get("/api/users/@me").await.expect(200);
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM audit_events WHERE action = 'login.sign_in'").await, 1);
}

/// A02: wrong, unknown, disabled, without a password, malformed.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_never_tells_why() {
    let app = app_with_ada().await;
    for email in [BOB, "eve@byron.test"] {
        app.browser().sign_up_verified(email).await;
    }
    users::disable(&app.kernel, app.user(BOB).await.id).await.unwrap();
    password::remove(app.kernel.db.writer(), app.user("eve@byron.test").await.id).await.unwrap();
    let browser = app.browser();
    let wrong = try_password(&browser, ADA, OTHER_PASSWORD).await;
    wrong.expect_problem(401, "invalid_credentials");
    assert_eq!(wrong.set_cookie(SESSION), None);
    let refusals = [
        try_password(&browser, "nobody@lovelace.test", PASSWORD).await,
        try_password(&browser, BOB, PASSWORD).await,
        try_password(&browser, "eve@byron.test", PASSWORD).await,
        try_password(&browser, "no address", PASSWORD).await,
        try_password(&browser, ADA, "").await,
        try_password(&browser, ADA, &"x".repeat(2000)).await,
    ];
    for refusal in refusals {
        assert_eq!(refusal.fingerprint(), wrong.fingerprint());
        assert_eq!(refusal.set_cookie(SESSION), None);
    }
}

/// T-LOGIN-02: for whatever reason, with the right password where that is no reason to let somebody in, byte by byte.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_gets_the_same_bytes() {
    let app = app_with_ada().await;
    let (disabled, federated, unproven) = (BOB, "eve@byron.test", "mary@shelley.test");
    for email in [disabled, federated] {
        app.browser().sign_up_verified(email).await;
    }
    app.browser().sign_up(unproven).await;
    app.drain().await;
    users::disable(&app.kernel, app.user(disabled).await.id).await.unwrap();
    password::remove(app.kernel.db.writer(), app.user(federated).await.id).await.unwrap();
    let mut answers = Vec::new();
    for (email, passwords) in [
        (ADA, &[OTHER_PASSWORD][..]),
        ("nobody@lovelace.test", &[OTHER_PASSWORD, PASSWORD]),
        (disabled, &[OTHER_PASSWORD, PASSWORD]),
        (federated, &[OTHER_PASSWORD, PASSWORD]),
        (unproven, &[OTHER_PASSWORD]),
    ] {
        for password in passwords {
            let answer = try_password(&app.browser(), email, password).await;
            answer.expect_problem(401, "invalid_credentials");
            assert!(answer.headers.get("set-cookie").is_none(), "{email}");
            answers.push((email, answer.fingerprint()));
        }
    }
    let first = answers[0].1.clone();
    assert!(answers.iter().all(|(_, bytes)| *bytes == first), "{answers:#?}");
}

/// T-LOGIN-03: neither the hashes that run nor the time that passes tell a known address from an unknown one. How often
/// the one takes longer than the other is their AUC; of two sets of 300 times that tell nothing it strays by 0.024. The
/// hash costs what it does in production: beside a cheap one, reading a row without optimisation takes a noticeable time.
#[tokio::test(flavor = "multi_thread")]
async fn time_does_not_tell_known_from_unknown() {
    const ROUNDS: usize = 300;
    let shipped = Config::defaults().unwrap().password.memory_kib;
    let app = TestApp::with(Settings::with(move |config| config.password.memory_kib = shipped)).await;
    app.browser().sign_up_verified(ADA).await;
    let (browser, mut times, mut hashes) = (app.browser(), [Vec::new(), Vec::new()], [0, 0]);
    for round in 0..ROUNDS {
        let emails = [ADA.to_owned(), format!("unknown{round}@lovelace.test")];
        // Neither is always the first one.
        for class in [round % 2, 1 - round % 2] {
            let before = app.hasher.computed();
            let sent = Instant::now();
            let answer = try_password(&browser, &emails[class], OTHER_PASSWORD).await;
            times[class].push(sent.elapsed());
            answer.expect_problem(401, "invalid_credentials");
            hashes[class] += app.hasher.computed() - before;
        }
    }
    assert_eq!(hashes, [ROUNDS as u64; 2]);
    let [known, unknown] = times.map(Figures::of);
    let auc = known.auc(&unknown);
    assert!((0.40..=0.60).contains(&auc), "AUC {auc:.3}");
}

/// T-LOGIN-01: a new id, under which alone the session is found; what the browser carried before opens nothing; the audit
/// trail says by what the user proved who they are.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_password_gives_a_new_id_and_is_audited() {
    let app = app_with_ada().await;
    let user = app.user(ADA).await;
    email_mfa::grant_bypass(&app.kernel, user.id, Duration::from_secs(600), "lost mailbox").await.unwrap();
    let browser = app.browser();
    let anonymous = format!("gpst_{}", "A".repeat(43));
    browser.set_cookie(SESSION, &anonymous);
    let login = assert_signed_in(&try_password(&browser, ADA, PASSWORD).await, ADA);
    assert_ne!(browser.cookie(SESSION).as_ref(), Some(&anonymous));
    browser.get("/api/users/@me").await.expect(200);
    browser.set_cookie(SESSION, &anonymous);
    browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    let rows = shared::audit::list(app.kernel.db.reader(), "login.sign_in", 10).await.unwrap();
    let detail: Value = serde_json::from_str(&rows[0].detail).unwrap();
    assert_eq!((rows.len(), rows[0].outcome.as_str(), rows[0].user_id), (1, "success", Some(user.id.0)));
    assert_eq!((&detail["amr"], &detail["session_id"]), (&json!(["pwd"]), &login["session"]["id"]));
    app.drain().await;
}

/// A03: what takes time is the same: hashes, rows and jobs.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_address_costs_as_much_as_a_wrong_password() {
    let app = app_with_ada().await;
    app.browser().sign_up_verified(BOB).await;
    users::disable(&app.kernel, app.user(BOB).await.id).await.unwrap();
    let browser = app.browser();
    let mut costs = Vec::new();
    for (email, password) in
        [(ADA, OTHER_PASSWORD), ("nobody@lovelace.test", PASSWORD), (BOB, OTHER_PASSWORD), ("no address", PASSWORD)]
    {
        let (hashes, rows) = (app.hasher.computed(), app.row_counts().await);
        try_password(&browser, email, password).await.expect(401);
        let added: Vec<_> = app.row_counts().await.into_iter().filter(|(table, count)| rows[table] != *count).collect();
        let added: Vec<_> = added.into_iter().map(|(table, count)| (count - rows[&table], table)).collect();
        costs.push((app.hasher.computed() - hashes, added));
    }
    assert_eq!(costs[0], (1, vec![(1, "audit_events".to_owned())]));
    assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
}

/// A04: single sign-on before the limit, the limit before the credentials, these before the proof of the address.
#[tokio::test(flavor = "multi_thread")]
async fn checks_run_in_their_order() {
    let app = TestApp::with(Settings::with(|config| {
        config.login.per_network = Limit { count: 2, per_seconds: 3600 };
        config.domains = enforcing("byron.test", "saml");
    }))
    .await;
    app.browser().sign_up(ADA).await;
    let browser = app.browser();
    // Credentials come before the proof of the address, and that before the e-mail step.
    try_password(&browser, ADA, OTHER_PASSWORD).await.expect_problem(401, "invalid_credentials");
    assert_eq!(status_of(try_password(&browser, ADA, PASSWORD).await), "email_verification_required");
    app.drain().await;
    // The limit comes before the credentials, right or wrong, and before the hash.
    let hashes = app.hasher.computed();
    for password in [PASSWORD, OTHER_PASSWORD] {
        let refusal = try_password(&browser, ADA, password).await;
        refusal.expect_problem(429, "throttled");
        assert!(refusal.header("retry-after").is_some());
    }
    // Single sign-on comes before the limit.
    try_password(&browser, "anyone@byron.test", PASSWORD).await.expect_problem(403, "sso_enforced");
    assert_eq!(app.hasher.computed(), hashes);
}

/// A04: the proof of the address comes before the e-mail step, whatever would waive the latter.
#[tokio::test(flavor = "multi_thread")]
async fn a_bypass_does_not_replace_the_proof_of_the_address() {
    let app = TestApp::new().await;
    app.browser().sign_up(ADA).await;
    let user = app.user(ADA).await;
    email_mfa::grant_bypass(&app.kernel, user.id, Duration::from_secs(600), "lost mailbox").await.unwrap();
    let answer = try_password(&app.browser(), ADA, PASSWORD).await;
    assert_eq!(answer.set_cookie(SESSION), None);
    assert_eq!(status_of(answer), "email_verification_required");
    app.drain().await;
}

/// A05, A06: the provider is named to everybody, no hash runs and nothing is counted.
#[tokio::test(flavor = "multi_thread")]
async fn an_enforced_domain_is_told_before_anything_happens() {
    let app = TestApp::with(Settings::with(|config| {
        config.login.per_network = Limit { count: 1, per_seconds: 3600 };
        config.domains = enforcing("byron.test", "google");
    }))
    .await;
    app.browser().sign_up_verified(ADA).await;
    // The user was there before the domain was enforced.
    app.execute(&format!("UPDATE users SET email = '{BOB}', email_normalised = '{BOB}'")).await;
    let (hashes, rows) = (app.hasher.computed(), app.row_counts().await);
    let browser = app.browser();
    let known = try_password(&browser, BOB, PASSWORD).await;
    let problem = known.expect_problem(403, "sso_enforced");
    assert!(problem["detail"].as_str().unwrap().contains("google"), "{problem}");
    for (email, password) in [(BOB, OTHER_PASSWORD), ("nobody@byron.test", PASSWORD), ("NOBODY@Byron.Test", "")] {
        assert_eq!(try_password(&browser, email, password).await.fingerprint(), known.fingerprint(), "{email}");
    }
    assert_eq!(app.hasher.computed(), hashes);
    assert_eq!(app.row_counts().await["rate_limits"], rows["rate_limits"]);
    // The one attempt that the network has is still there.
    try_password(&browser, "nobody@lovelace.test", PASSWORD).await.expect_problem(401, "invalid_credentials");
    try_password(&browser, "nobody@lovelace.test", PASSWORD).await.expect_problem(429, "throttled");
}

/// A07: only a right password says that the address is unproven, and sends a mail.
#[tokio::test(flavor = "multi_thread")]
async fn an_unproven_address_gets_a_mail_and_no_session() {
    let app = TestApp::new().await;
    let browser = app.browser();
    browser.sign_up(ADA).await;
    let queued = async || app.count_jobs("email_verification.send_verification", JobState::Queued).await;
    let rows = app.row_counts().await;
    try_password(&browser, ADA, OTHER_PASSWORD).await.expect_problem(401, "invalid_credentials");
    assert_eq!(app.row_counts().await["jobs"], rows["jobs"]);
    let answer = try_password(&browser, ADA, PASSWORD).await;
    assert_eq!(answer.json(), json!({ "status": "email_verification_required" }));
    assert_eq!((answer.set_cookie(SESSION), browser.cookie(SESSION)), (None, None));
    assert_eq!((app.row_counts().await["jobs"], queued().await), (rows["jobs"] + 1, 1));
    app.drain().await;
    assert_eq!(app.count_mails(ADA).await, 2);
    let code = harness::code_in(&app.mail_to(ADA).await.text);
    browser.post("/api/email_verification/confirm", json!({ "email": ADA, "code": code })).await.expect(200);
    browser.log_in(ADA, PASSWORD).await;
}

/// A09: without mail nobody is asked to prove an address.
#[tokio::test(flavor = "multi_thread")]
async fn without_mail_the_proof_of_the_address_is_skipped() {
    let app = TestApp::with(Settings::with(|config| config.mail.url = Redacted::new("none://".to_owned()))).await;
    app.browser().sign_up(ADA).await;
    let user = app.user(ADA).await;
    assert!(!user.is_verified());
    let browser = app.browser();
    // The step after it needs mail, too, and fails closed.
    try_password(&browser, ADA, PASSWORD).await.expect_problem(503, "email_not_available");
    email_mfa::grant_bypass(&app.kernel, user.id, Duration::from_secs(600), "no mail here").await.unwrap();
    assert_signed_in(&try_password(&browser, ADA, PASSWORD).await, ADA);
}

/// A12, T-SESS-01: at login, at the second step and at re-authentication.
#[tokio::test(flavor = "multi_thread")]
async fn the_session_id_changes_with_every_proof() {
    let app = app_with_ada().await;
    let browser = app.browser();
    let planted = format!("gpst_{}", "A".repeat(43));
    browser.set_cookie(SESSION, &planted);
    browser.log_in(ADA, PASSWORD).await;
    let first = browser.cookie(SESSION).unwrap();
    assert_ne!(first, planted);
    // Re-authentication.
    assert_signed_in(&try_password(&browser, ADA, PASSWORD).await, ADA);
    let second = browser.cookie(SESSION).unwrap();
    // The second step, on top of a live session that began between the two.
    browser.clear_cookies();
    let pending = browser.begin_login(ADA, PASSWORD).await;
    browser.set_cookie(SESSION, &second);
    let code = harness::code_in(&app.mail_to(ADA).await.text);
    browser.post("/api/login/email_mfa", json!({ "login_id": pending["login_id"], "code": code })).await.expect(200);
    let third = browser.cookie(SESSION).unwrap();
    assert!(first != second && second != third && first != third);
    for ended in [planted, first, second] {
        let replay = app.browser();
        replay.set_cookie(SESSION, &ended);
        replay.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    }
    browser.get("/api/users/@me").await.expect(200);
}

/// A13: and A15, the exemption of a re-authentication is for the session's own user only.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_as_someone_else_ends_the_session_before_it() {
    let app = app_with_ada().await;
    app.browser().sign_up_verified(BOB).await;
    let browser = app.browser();
    browser.log_in(ADA, PASSWORD).await;
    let session_of_ada = browser.cookie(SESSION).unwrap();
    assert_eq!(status_of(try_password(&browser, BOB, PASSWORD).await), "email_mfa_required");
    app.drain().await;
    browser.log_in(BOB, PASSWORD).await;
    assert_eq!(browser.get("/api/users/@me").await.expect(200).json()["email"], BOB);
    let replay = app.browser();
    replay.set_cookie(SESSION, &session_of_ada);
    replay.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    let live = "SELECT COUNT(*) AS number FROM sessions WHERE revoked_at IS NULL";
    assert_eq!(app.number(live).await, 1);
}

/// A14: it makes the proof of identity recent again, and sends no mail.
#[tokio::test(flavor = "multi_thread")]
async fn re_authentication_renews_the_proof_of_identity() {
    let app = app_with_ada().await;
    let browser = app.browser();
    browser.log_in(ADA, PASSWORD).await;
    app.advance(Duration::from_secs(7201));
    let wish = json!({ "email": "countess@lovelace.test" });
    let refusal = browser.patch("/api/users/@me", wish.clone()).await;
    refusal.expect_problem(403, "sensitive_action_required_reauth");
    let jobs = app.row_counts().await["jobs"];
    assert_signed_in(&try_password(&browser, " ADA@Lovelace.TEST ", PASSWORD).await, ADA);
    assert_eq!(app.row_counts().await["jobs"], jobs);
    let event = shared::audit::list(app.kernel.db.reader(), "login.sign_in", 1).await.unwrap().remove(0);
    assert!(event.detail.contains("\"is_reauthentication\":true"), "{}", event.detail);
    browser.patch("/api/users/@me", wish).await.expect(200);
    app.drain().await;
}

/// A14, W33: a wrong password ends nothing and renews nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_re_authentication_leaves_the_session_as_it_was() {
    let app = app_with_ada().await;
    let browser = app.browser();
    browser.log_in(ADA, PASSWORD).await;
    let session = browser.cookie(SESSION);
    app.advance(Duration::from_secs(7201));
    try_password(&browser, ADA, OTHER_PASSWORD).await.expect_problem(401, "invalid_credentials");
    assert_eq!(browser.cookie(SESSION), session);
    browser.get("/api/users/@me").await.expect(200);
    let refusal = browser.patch("/api/users/@me", json!({ "email": "countess@lovelace.test" })).await;
    refusal.expect_problem(403, "sensitive_action_required_reauth");
}

/// A15: neither another user's session, an ended one nor a request of another site makes a re-authentication.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_live_session_of_the_same_user_exempts() {
    let app = app_with_ada().await;
    app.browser().sign_up_verified(BOB).await;
    let browser = app.browser();
    browser.log_in(ADA, PASSWORD).await;
    let session = browser.cookie(SESSION).unwrap();
    let answer = try_password(&browser, BOB, PASSWORD).await;
    assert_eq!(answer.set_cookie(SESSION), None);
    assert_eq!(status_of(answer), "email_mfa_required");
    // Not visibly our own page: neither `Sec-Fetch-Site` nor `Origin` says that it is.
    let foreign = app.browser().plain();
    foreign.set_cookie(SESSION, &session);
    assert_eq!(status_of(try_password(&foreign, ADA, PASSWORD).await), "email_mfa_required");
    browser.post("/api/logout", json!({})).await.expect(204);
    browser.set_cookie(SESSION, &session);
    assert_eq!(status_of(try_password(&browser, ADA, PASSWORD).await), "email_mfa_required");
    app.drain().await;
}

/// A19: by POST, from our own origin; the cookie is removed, and nothing comes of using it again.
#[tokio::test(flavor = "multi_thread")]
async fn logging_out_ends_the_session_on_the_server() {
    let app = app_with_ada().await;
    let browser = app.browser();
    browser.log_in(ADA, PASSWORD).await;
    let session = browser.cookie(SESSION).unwrap();
    browser.get("/api/logout").await.expect(405);
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.test"), ("origin", "null")] {
        let foreign = app.browser().header(name, value);
        foreign.set_cookie(SESSION, &session);
        foreign.post("/api/logout", json!({})).await.expect_problem(403, "csrf_rejected");
    }
    browser.get("/api/users/@me").await.expect(200);
    let answer = browser.post("/api/logout", json!({})).await.expect(204);
    let removal = answer.set_cookie(SESSION).unwrap();
    assert!(removal.starts_with("gatepost_session=;") && removal.contains("Max-Age=0;"), "{removal}");
    assert_eq!(browser.cookie(SESSION), None);
    browser.set_cookie(SESSION, &session);
    browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    browser.post("/api/logout", json!({})).await.expect_problem(401, "unauthenticated");
}

/// The hash of a password as an installation with other parameters would have stored it.
async fn hash_with(app: &TestApp, memory_kib: u32, password: &str) -> StoredPassword {
    let mut config = app.kernel.config.password.clone();
    config.memory_kib = memory_kib;
    let pool = HashPool::start(&config, &app.kernel.keys).expect("hashing threads");
    pool.reserve().expect("a place").hash(password).await.expect("a hash")
}

/// A22, T-LOGIN-14: once, by the next right password only.
#[tokio::test(flavor = "multi_thread")]
async fn a_hash_with_other_parameters_is_upgraded_at_the_next_login() {
    let app = app_with_ada().await;
    let (user, db) = (app.user(ADA).await, app.kernel.db.reader());
    for memory_kib in [32, 128] {
        let old = hash_with(&app, memory_kib, PASSWORD).await;
        password::set(app.kernel.db.writer(), user.id, old.clone(), app.kernel.clock.now()).await.unwrap();
        let browser = app.browser();
        try_password(&browser, ADA, OTHER_PASSWORD).await.expect(401);
        assert_eq!(password::find(db, user.id).await.unwrap().as_ref(), Some(&old));
        browser.log_in(ADA, PASSWORD).await;
        let upgraded = password::find(db, user.id).await.unwrap().unwrap();
        assert!(upgraded.phc.contains("m=64,") && !app.hasher.is_outdated(&upgraded), "{}", upgraded.phc);
        app.browser().log_in(ADA, PASSWORD).await;
        assert_eq!(password::find(db, user.id).await.unwrap(), Some(upgraded));
        app.browser().post("/api/login", json!({ "email": ADA, "password": OTHER_PASSWORD })).await.expect(401);
        app.advance(Duration::from_secs(3600));
    }
}

/// A22, T-LOGIN-14: logins at the same moment leave one good hash.
#[tokio::test(flavor = "multi_thread")]
async fn logins_at_once_upgrade_a_hash_without_harm() {
    // Five at once are as many as a user gets codes in an hour, and of those the one that read the clock first may be counted
    // last: that is refused for an instant, and is not what this is about.
    let app = TestApp::with(Settings::with(|config| config.email_mfa.per_user = UNLIMITED)).await;
    app.browser().sign_up_verified(ADA).await;
    let user = app.user(ADA).await;
    let old = hash_with(&app, 128, PASSWORD).await;
    password::set(app.kernel.db.writer(), user.id, old, app.kernel.clock.now()).await.unwrap();
    let browsers: Vec<_> = (0..5).map(|_| app.browser()).collect();
    for answer in join_all(browsers.iter().map(|browser| try_password(browser, ADA, PASSWORD))).await {
        assert_eq!(status_of(answer), "email_mfa_required");
    }
    app.drain().await;
    let stored = password::find(app.kernel.db.reader(), user.id).await.unwrap().unwrap();
    assert!(!app.hasher.is_outdated(&stored));
    app.advance(Duration::from_secs(3600));
    app.browser().log_in(ADA, PASSWORD).await;
}

/// A22, T-LOGIN-14: an upgrade that comes late does not bring an old password back.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_never_undoes_a_change() {
    let app = app_with_ada().await;
    let (user, db) = (app.user(ADA).await, app.kernel.db.writer());
    let before = hash_with(&app, 128, PASSWORD).await;
    let after = hash_with(&app, 64, PASSWORD).await;
    let changed = hash_with(&app, 64, OTHER_PASSWORD).await;
    password::set(db, user.id, changed.clone(), app.kernel.clock.now()).await.unwrap();
    password::upgrade(db, user.id, &before, after).await.unwrap();
    assert_eq!(password::find(db, user.id).await.unwrap(), Some(changed));
    app.browser().log_in(ADA, OTHER_PASSWORD).await;
}
