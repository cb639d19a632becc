//! What holds for every request and every response.

use poem::{Response, Route, endpoint::make, get, http::Method};
use serde_json::json;

use super::TestApp;

const SECURITY_HEADERS: [(&str, &str); 7] = [
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("strict-transport-security", "max-age=63072000"),
    ("server", ""),
];

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let app = TestApp::with(&[("GATEPOST__HTTP__PUBLIC_URL", "https://auth.example.com")], crate::app).await;
    for path in ["/health/live", "/nowhere", "/api/nowhere", "/api/jobs", "/openapi.json", "/x%00"] {
        let answer = app.get(path).await;
        for (name, value) in SECURITY_HEADERS {
            assert_eq!(answer.header(name), value, "{name} of {path}");
        }
    }
    assert_eq!(TestApp::new().await.get("/health/live").await.header("strict-transport-security"), "");
}

#[tokio::test]
async fn a_problem_carries_the_id_of_its_request() {
    let app = TestApp::new().await;
    let sent = "018f5f3e-0000-7000-8000-000000000000";
    let answer = app.send(Method::GET, "/nowhere", &[("x-request-id", sent)], "").await;
    assert_eq!(answer.code(), "not_found");
    let id = answer.header("x-request-id");
    assert!(id.len() == 36 && id != sent);
    assert_eq!(answer.json()["instance"], format!("urn:uuid:{id}"));
}

#[tokio::test]
async fn a_trailing_slash_is_no_difference() {
    let app = TestApp::new().await;
    for path in ["/api/jobs/", "/api/users/@me/", "/api/users/%40me", "/api/users/@me"] {
        assert_eq!(app.get(path).await.code(), "unauthenticated", "{path}");
    }
    assert_eq!(app.get("/health/live/").await.status(), 200);
    assert_eq!(app.json("/api/login/", "{}").await.code(), "validation_failed");
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let app = TestApp::new().await;
    for (method, path, allowed) in [
        (Method::GET, "/api/login", "POST"),
        (Method::POST, "/health/live", "GET, HEAD"),
        (Method::TRACE, "/api/login", "POST"),
        (Method::OPTIONS, "/api/jobs/018f5f3e-0000-7000-8000-000000000000", "GET, HEAD"),
    ] {
        let answer = app.send(method.clone(), path, &[("x-http-method-override", "POST")], "").await;
        assert_eq!(answer.code(), "method_not_allowed", "{method} {path}");
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn a_missing_credential_is_answered_with_a_challenge() {
    let answer = TestApp::new().await.get("/api/jobs").await;
    assert_eq!(answer.code(), "unauthenticated");
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"gatepost\"");
}

#[tokio::test]
async fn bodies_that_do_not_fit_are_explained() {
    let app = TestApp::new().await;
    for (body, code) in [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        (r#"{"email":"\ud800"}"#, "invalid_json"),
        (r#"{"email":"a","email":"b"}"#, "invalid_request"),
        (r#"{"email":"a\u0000b","password":"x"}"#, "invalid_request"),
        ("[]", "validation_failed"),
        ("{}", "validation_failed"),
    ] {
        assert_eq!(app.json("/api/login", body).await.code(), code, "{body}");
    }
    let answer = app.json("/api/login", r#"{"email":5}"#).await;
    assert_eq!(answer.status(), 422);
    let mut found: Vec<(String, String)> = answer.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| (field["pointer"].as_str().unwrap().to_owned(), field["code"].as_str().unwrap().to_owned()))
        .collect();
    found.sort();
    let expected = [("/email", "invalid"), ("/password", "required")];
    assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
    assert!(!answer.text.contains("LoginRequest"), "{}", answer.text);
}

#[tokio::test]
async fn a_wrong_media_type_is_refused() {
    let app = TestApp::new().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let answer = app.send(Method::POST, "/api/login", &[("content-type", content_type)], "a=b").await;
        assert_eq!(answer.code(), "unsupported_media_type", "{content_type}");
    }
    assert_eq!(app.send(Method::POST, "/api/login", &[], "{}").await.code(), "unsupported_media_type");
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let app = TestApp::new().await;
    assert_eq!(app.json("/api/login", &format!("\"{}\"", "a".repeat(70_000))).await.code(), "body_too_large");
    assert_eq!(app.get(&format!("/{}", "a".repeat(9_000))).await.code(), "uri_too_long");
    let long = "a".repeat(20_000);
    assert_eq!(app.send(Method::GET, "/", &[("x-long", &long)], "").await.code(), "headers_too_large");
}

#[tokio::test]
async fn other_sites_change_nothing_and_read_nothing() {
    let app = TestApp::new().await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:8080.evil.example"),
    ] {
        for content_type in ["application/json", "text/plain", "application/x-www-form-urlencoded"] {
            let answer =
                app.send(Method::POST, "/api/login", &[(name, value), ("content-type", content_type)], "{}").await;
            assert_eq!(answer.code(), "csrf_rejected", "{name}: {value}, {content_type}");
        }
        for path in ["/api/users/@me", "/api/nowhere", "/openapi.json"] {
            let answer = app.send(Method::GET, path, &[(name, value)], "").await;
            let cors: Vec<_> =
                answer.response.headers().keys().filter(|name| name.as_str().starts_with("access-control")).collect();
            assert!(cors.is_empty(), "{path}: {cors:?}");
        }
    }
    let own = [("origin", "http://localhost:8080"), ("content-type", "application/json")];
    assert_eq!(app.send(Method::POST, "/api/login", &own, "{}").await.code(), "validation_failed");
}

#[tokio::test]
async fn ids_that_cannot_exist_are_not_found() {
    let app = TestApp::new().await;
    assert_eq!(app.get("/api/jobs/17").await.code(), "unauthenticated");
}

#[tokio::test]
async fn a_panic_or_an_endless_handler_fails_its_request_only() {
    let variables = [("GATEPOST__HTTP__REQUEST_TIMEOUT_SECONDS", "1")];
    let app = TestApp::with(&variables, |state| {
        let routes = Route::new()
            .at("/panic", get(make(|_| async { if true { panic!("secret") } else { Ok::<_, poem::Error>(()) } })))
            .at("/endless", get(make(|_| std::future::pending::<poem::Result<()>>())))
            .at("/fine", get(make(|_| async { Ok::<_, poem::Error>(Response::default()) })));
        crate::guard(routes, state)
    })
    .await;
    let answer = app.get("/panic").await;
    assert_eq!(answer.code(), "internal_error");
    assert!(!answer.text.contains("secret"));
    let answer = app.get("/endless").await;
    assert_eq!(answer.code(), "temporarily_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(app.get("/fine").await.status(), 200);
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let app = TestApp::new().await;
    let answer = app.get("/health/ready").await;
    assert_eq!((answer.status(), &answer.json()["components"]["database"]["status"]), (200, &json!("ready")));
    app.state.readiness.expect("relay");
    let answer = app.get("/_health").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.json()["components"]["relay"], json!({ "status": "not_ready", "reason": "starting" }));
    app.state.readiness.set("relay", Ok(()));
    assert_eq!(app.get("/health/ready").await.status(), 200);
    app.state.draining.cancel();
    assert_eq!(app.get("/health/ready").await.status(), 503);
    assert_eq!(app.get("/health/live").await.status(), 200);
}

#[tokio::test]
async fn the_document_and_its_page_are_served() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await;
    assert_eq!(document.header("content-type"), "application/json");
    assert!(document.json()["paths"]["/api/jobs/{job_id}/retry"]["post"].is_object());
    let page = app.get("/docs/").await;
    assert!(page.header("content-security-policy").contains("script-src 'self'"));
    assert!(!page.header("content-security-policy").contains("unsafe-eval"));
    let script = app.get("/docs/reference.js").await;
    assert!(script.text.len() > 1_000_000 && !script.text.contains("</html>"));
}
