//! What every answer tells browsers.

use std::path::Path;

use harness::{Answer, PASSWORD, Settings, TestApp};
use poem::http::Method;
use serde_json::json;

const EMAIL: &str = "ann@example.com";

/// Headers that every answer has.
fn assert_guarded(answer: &Answer, what: &str, is_https: bool) {
    for (name, expected) in [
        ("x-content-type-options", "nosniff"),
        // The form of the sign-in page has to say where it comes from; its address holds no secret.
        ("referrer-policy", if what == "/login" { "same-origin" } else { "no-referrer" }),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(expected), "{name} of {what}");
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{name} of {what}");
    }
    let policy = answer.header("content-security-policy").unwrap_or_default();
    for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{part} of {what}: {policy}");
    }
    assert!(!policy.contains("unsafe-eval") && !policy.contains('*'), "{what}: {policy}");
    assert_eq!(answer.header("strict-transport-security").is_some(), is_https, "{what}");
    assert_eq!(answer.header("server"), None, "{what}");
    assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 36), "{what}");
    let is_asset = Path::new(what).extension().is_some_and(|extension| extension == "css" || extension == "js");
    if !is_asset {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    }
}

/// T-API-05, T-RST-05: every answer carries the security headers: pages, the API, assets, and every kind of failure.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_the_security_headers() {
    for url in ["https://auth.example.com", "http://localhost:8080"] {
        let app = TestApp::with(Settings::with(move |config| config.http.public_url = url.parse().unwrap())).await;
        let is_https = url.starts_with("https");
        let browser = app.browser();
        for path in [
            "/health/live",
            "/health/ready",
            "/openapi.json",
            "/docs",
            "/docs/reference.js",
            "/assets/gatepost.css",
            "/reset",
            "/reset?token=x",
            "/verify_email",
            "/",
            "/account",
            "/login",
            "/login/email",
            "/login/two_factor",
            "/dev/mailbox",
            "/api/dev/mailbox",
            "/api/users/@me",
            "/api/jobs/x",
            "/api/login",
            "/nowhere",
            "/api/nowhere",
            "/%00",
            "/%ff",
        ] {
            assert_guarded(&browser.get(path).await, path, is_https);
            let page = app.browser().header("accept", "text/html").get(path).await;
            assert_guarded(&page, path, is_https);
        }
        let long = format!("/{}", "a".repeat(9000));
        assert_guarded(&browser.get(&long).await.expect(414), "a long address", is_https);
        let headers = app.browser().header("x-long", &"a".repeat(20_000)).get("/").await.expect(431);
        assert_guarded(&headers, "long headers", is_https);
        let large = browser.post("/api/login", json!("a".repeat(70_000))).await.expect(413);
        assert_guarded(&large, "a large body", is_https);
        let broken =
            browser.send(Method::POST, "/api/login", Some(("application/json", "{".to_owned()))).await.expect(400);
        assert_guarded(&broken, "a broken body", is_https);
        assert_guarded(&browser.post("/api/signup", json!({})).await.expect(422), "an incomplete body", is_https);
        let foreign = app.browser().header("origin", "https://evil.example").post("/api/login", json!({})).await;
        assert_guarded(&foreign.expect(403), "a foreign write", is_https);
        let body = json!({ "email": EMAIL, "password": PASSWORD });
        assert_guarded(&browser.post("/api/signup", body.clone()).await.expect(202), "a sign-up", is_https);
        assert_guarded(&browser.post("/api/login", body).await.expect(200), "a login", is_https);
        assert_guarded(&browser.post("/api/reset", json!({ "email": EMAIL })).await.expect(204), "a reset", is_https);
        app.forget_jobs();
    }
}

/// T-API-05: a failing database does not take the headers away.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_carries_them_too() {
    let app = TestApp::new().await;
    app.execute("ALTER TABLE users RENAME TO lost_users").await;
    let answer = app.browser().post("/api/login", json!({ "email": EMAIL, "password": PASSWORD })).await;
    assert_guarded(&answer.expect(500), "a server error", false);
    app.execute("ALTER TABLE lost_users RENAME TO users").await;
}
