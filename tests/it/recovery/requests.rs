//! Asking for a link: what the answer tells, what it costs and how often it may be asked.

use std::time::Duration;

use harness::{Answer, PASSWORD, Settings, TestApp, free_port};
use poem::http::Method;
use serde_json::json;
use shared::{jobs::JobState, rate_limit::Limit, secret::Redacted, users};

use super::{ADA, BOB, JOB, app_with_ada, count_links, mailed_token, request};

/// C01, T-RST-01: the same answer for everybody, and a mail for whom it concerns.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_never_tells_who_has_an_account() {
    let app = app_with_ada().await;
    app.browser().sign_up_verified(BOB).await;
    users::disable(&app.kernel, app.user(BOB).await.id).await.unwrap();
    let known = request(&app.browser(), ADA).await.expect(204);
    assert_eq!(known.text, "");
    for email in ["nobody@lovelace.test", BOB, "no address", ""] {
        assert_eq!(request(&app.browser(), email).await.fingerprint(), known.fingerprint(), "{email}");
    }
    app.drain().await;
    assert_eq!((count_links(&app, ADA).await, count_links(&app, BOB).await), (1, 0));
    assert_eq!(app.count_jobs(JOB, JobState::Done).await, 1);
    assert_eq!(app.count_mails("nobody@lovelace.test").await, 0);
}

/// C02, T-RST-01: no hash, and the same rows and jobs for everybody.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_address_costs_as_much_as_a_known_one() {
    let app = app_with_ada().await;
    app.browser().sign_up_verified(BOB).await;
    users::disable(&app.kernel, app.user(BOB).await.id).await.unwrap();
    let hashes = app.hasher.computed();
    let mut costs = Vec::new();
    for email in [ADA, "nobody@lovelace.test", BOB] {
        let (before, browser) = (app.row_counts().await, app.browser());
        request(&browser, email).await.expect(204);
        let after = app.row_counts().await;
        let added: Vec<_> = after.into_iter().filter(|(table, count)| before[table] != *count).collect();
        costs.push(added.into_iter().map(|(table, count)| (count - before[&table], table)).collect::<Vec<_>>());
    }
    let expected = [("audit_events", 1), ("jobs", 1), ("password_resets", 1), ("rate_limits", 2)];
    assert_eq!(costs[0], expected.map(|(table, count)| (count, table.to_owned())));
    assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
    assert_eq!(app.hasher.computed(), hashes);
    assert_eq!(app.count_jobs(JOB, JobState::Queued).await, 3);
    app.drain().await;
}

/// C02, W08: the request is done before any mail is tried.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_down_does_not_change_the_answer() {
    let port = free_port();
    let settings =
        Settings::with(move |config| config.mail.url = Redacted::new(format!("smtp+insecure://127.0.0.1:{port}")));
    let app = TestApp::with(settings).await;
    app.browser().sign_up(ADA).await;
    let known = request(&app.browser(), ADA).await.expect(204);
    app.drain().await;
    assert_eq!(app.count_jobs(JOB, JobState::Retrying).await, 1);
    assert_eq!(request(&app.browser(), ADA).await.fingerprint(), known.fingerprint());
    assert_eq!(request(&app.browser(), "nobody@lovelace.test").await.fingerprint(), known.fingerprint());
    app.forget_jobs();
}

/// C04: an installation without mail says so, to everybody.
#[tokio::test(flavor = "multi_thread")]
async fn without_mail_a_reset_is_not_available() {
    let app = TestApp::with(Settings::with(|config| config.mail.url = Redacted::new("none://".to_owned()))).await;
    app.browser().sign_up(ADA).await;
    let rows = app.row_counts().await;
    let known = request(&app.browser(), ADA).await;
    known.expect_problem(503, "email_not_available");
    assert!(known.header("retry-after").is_some());
    assert_eq!(request(&app.browser(), "nobody@lovelace.test").await.fingerprint(), known.fingerprint());
    assert_eq!(app.row_counts().await, rows);
}

/// C17, T-RST-06, W10: the fourth request in an hour sends nothing, and is answered like the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_request_is_dropped_silently() {
    let app = app_with_ada().await;
    for email in [ADA, "nobody@lovelace.test"] {
        let browser = app.browser();
        let first = request(&browser, email).await.expect(204);
        let mut rows = app.row_counts().await;
        for number in 2..=5 {
            assert_eq!(request(&browser, email).await.fingerprint(), first.fingerprint());
            let after = app.row_counts().await;
            let added = i64::from(number <= 3);
            let counts = (after["jobs"] - rows["jobs"], after["password_resets"] - rows["password_resets"]);
            assert_eq!(counts, (added, added), "request {number} for {email}");
            rows = after;
        }
        // A different spelling is the same address.
        request(&browser, &email.to_uppercase()).await.expect(204);
        assert_eq!(app.row_counts().await["jobs"], rows["jobs"]);
        app.advance(Duration::from_secs(1200));
        request(&browser, email).await.expect(204);
        assert_eq!(app.row_counts().await["jobs"], rows["jobs"] + 1);
    }
    app.drain().await;
}

/// C17: the eleventh request of a network in an hour is refused, whatever the address.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_asks_too_often_is_told_when_to_come_back() {
    let app = app_with_ada().await;
    let browser = app.browser_at("2001:db8:1:2::1");
    for number in 0..10 {
        request(&browser, &format!("user{number}@lovelace.test")).await.expect(204);
    }
    let refusal = request(&browser, ADA).await;
    refusal.expect_problem(429, "throttled");
    let seconds = |answer: &Answer| answer.header("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(seconds(&refusal).is_some_and(|seconds| (1..=360).contains(&seconds)), "{:?}", refusal.headers);
    // The network is the /64, and a header of the client's own does not make another one.
    request(&app.browser_at("2001:db8:1:2:ffff::9"), "x@lovelace.test").await.expect_problem(429, "throttled");
    request(&app.browser_at("2001:db8:1:3::1"), ADA).await.expect(204);
    app.advance(Duration::from_secs(360));
    request(&browser, ADA).await.expect(204);
    app.drain().await;
}

/// C18, W10: someone else's requests use up nothing of the owner's.
#[tokio::test(flavor = "multi_thread")]
async fn an_attacker_cannot_use_up_the_owners_requests() {
    let app = app_with_ada().await;
    let attacker = app.browser();
    for _ in 0..9 {
        request(&attacker, ADA).await.expect(204);
    }
    app.drain().await;
    let links = count_links(&app, ADA).await;
    request(&app.browser(), ADA).await.expect(204);
    app.drain().await;
    assert_eq!(count_links(&app, ADA).await, links + 1);
}

/// T-RST-06: over the recipient's own budget mails are dropped, and the requester is not told.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_is_not_flooded() {
    let settings = Settings::with(|config| config.mail.per_recipient_long = Limit { count: 3, per_seconds: 86_400 });
    let app = TestApp::with(settings).await;
    app.browser().sign_up_verified(ADA).await;
    for _ in 0..4 {
        request(&app.browser(), ADA).await.expect(204);
        app.drain().await;
    }
    // One of the three was the proof of the address.
    assert_eq!((app.count_mails(ADA).await, count_links(&app, ADA).await), (3, 2));
}

/// T-RST-02: no header of a request gets into a link.
#[tokio::test(flavor = "multi_thread")]
async fn the_link_leads_to_the_configured_address() {
    let app = app_with_ada().await;
    let headers = [
        ("host", "evil.test"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "gopher"),
        ("forwarded", "host=evil.test;proto=gopher"),
        ("x-original-url", "https://evil.test/"),
    ];
    for (name, value) in headers {
        request(&app.browser().header(name, value), ADA).await.expect(204);
        app.drain().await;
    }
    // The absolute form of a request line.
    let body = json!({ "email": ADA }).to_string();
    let address = "http://evil.test/api/reset";
    app.browser().send(Method::POST, address, Some(("application/json", body))).await.expect(204);
    app.drain().await;
    let links: Vec<_> = app.mails().await.into_iter().filter(|mail| mail.text.contains("/reset?token=")).collect();
    assert_eq!(links.len(), headers.len() + 1);
    for mail in links {
        let token = harness::token_in(&mail.text);
        assert!(mail.text.contains(&format!("{}/reset?token={token}", app.origin())), "{}", mail.text);
        assert!(!format!("{mail:?}").contains("evil") && !mail.html.contains("gopher"), "{mail:?}");
    }
}

/// C01: asking changes nothing for the user.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_alone_ends_nothing() {
    let app = app_with_ada().await;
    let browser = app.browser();
    browser.log_in(ADA, PASSWORD).await;
    request(&app.browser(), ADA).await.expect(204);
    app.drain().await;
    mailed_token(&app, ADA).await;
    browser.get("/api/users/@me").await.expect(200);
}
