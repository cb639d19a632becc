//! Whose request it is: limits and the audit trail see the client that the trusted proxies vouch for.

use harness::{Caller, PASSWORD, Settings, TestApp};
use serde_json::json;
use shared::{audit, rate_limit::Limit};

const ATTEMPTS: Limit = Limit { count: 5, per_seconds: 3600 };

/// One wrong login; its status.
async fn guess(caller: &Caller<'_>) -> u16 {
    caller.post("/api/login", json!({ "email": "ann@example.com", "password": PASSWORD })).await.status
}

/// The client addresses of the newest failed logins, newest first.
async fn recorded(app: &TestApp) -> Vec<String> {
    let rows = audit::list(app.kernel.db.reader(), "login.start", 100).await.unwrap_or_default();
    rows.into_iter().filter_map(|row| row.ip).collect()
}

/// P06, T-LOGIN-07, W09: without a trusted proxy no header moves the client: the limit hits, and the peer is recorded.
#[tokio::test(flavor = "multi_thread")]
async fn without_trusted_proxies_no_header_is_believed() {
    let app = TestApp::with(Settings::with(|config| {
        config.http.trusted_proxies = Vec::new();
        config.login.per_network = ATTEMPTS;
    }))
    .await;
    for number in 0..8 {
        let spoofed = format!("198.51.100.{number}");
        let caller = app
            .browser_at(&spoofed)
            .header("x-real-ip", &spoofed)
            .header("forwarded", &format!("for={spoofed}"))
            .header("x-client-ip", &spoofed)
            .header("true-client-ip", &spoofed)
            .header("cf-connecting-ip", &spoofed);
        assert_eq!(guess(&caller).await, if number < 5 { 401 } else { 429 }, "attempt {number}");
    }
    assert_eq!(app.hasher.computed(), 5, "a refused attempt costs no hash");
    assert_eq!(recorded(&app).await, vec!["127.0.0.1"; 5]);
}

/// P06, T-LOGIN-08, W09: behind a trusted proxy the right-most address that is not trusted is the client, whatever stands
/// to its left.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_the_right_most_untrusted_address_counts() {
    let app = TestApp::with(Settings::with(|config| config.login.per_network = ATTEMPTS)).await;
    for number in 0..8 {
        let line = format!("198.51.100.{number}, unknown, 203.0.113.9, 127.0.0.7");
        assert_eq!(guess(&app.browser_at(&line)).await, if number < 5 { 401 } else { 429 }, "attempt {number}");
    }
    assert_eq!(recorded(&app).await, vec!["203.0.113.9"; 5]);
    assert_eq!(guess(&app.browser_at("203.0.113.9, 203.0.113.10")).await, 401, "another client has its own budget");
    assert_eq!(guess(&app.browser_at("203.0.113.10").header("x-forwarded-for", "203.0.113.9")).await, 429);
    assert_eq!(recorded(&app).await[0], "203.0.113.10");
}

/// T-LOGIN-08: a line that cannot be read makes the peer the client; it is never a client without a limit.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_line_makes_the_peer_the_client() {
    let app = TestApp::with(Settings::with(|config| config.login.per_network = ATTEMPTS)).await;
    let lines = [
        "a",
        "",
        "203.0.113.9,",
        "unknown",
        "203.0.113.999",
        "[2001:db8::1",
        "127.0.0.1",
        "203.0.113.9; DROP TABLE users",
    ];
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(guess(&app.browser_at(line)).await, if number < 5 { 401 } else { 429 }, "{line:?}");
    }
    assert_eq!(recorded(&app).await, vec!["127.0.0.1"; 5]);
    app.browser_at("a").get("/api/users/@me").await.expect_problem(401, "unauthenticated");
}

/// P06: one network is one client: all addresses of an IPv6 /64, and both spellings of an IPv4 address.
#[tokio::test(flavor = "multi_thread")]
async fn all_addresses_of_one_network_share_its_limit() {
    let app = TestApp::with(Settings::with(|config| config.login.per_network = ATTEMPTS)).await;
    for number in 0..6 {
        let caller = app.browser_at(&format!("2001:db8::{number}:1"));
        assert_eq!(guess(&caller).await, if number < 5 { 401 } else { 429 }, "attempt {number}");
    }
    for number in 0..6 {
        let address = ["203.0.113.9", "::ffff:203.0.113.9", "203.0.113.9:4711"][number % 3];
        assert_eq!(guess(&app.browser_at(address)).await, if number < 5 { 401 } else { 429 }, "{address}");
    }
    assert_eq!(guess(&app.browser_at("203.0.113.10")).await, 401);
}
