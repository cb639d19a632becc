//! Failures: always the same form, always a documented code, never anything of the inside.
#![expect(clippy::indexing_slicing, reason = "JSON values of tests: an absent member is null")]

use std::collections::BTreeSet;

use harness::{Answer, Caller, PASSWORD, TestApp};
use poem::http::Method;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const EMAIL: &str = "ann@example.com";

/// What no answer may contain: paths, types, statements and texts of libraries.
const INSIDE: [&str; 24] = [
    "panicked",
    "RUST_BACKTRACE",
    ".rs:",
    "/src/",
    "/root/",
    "/home/",
    "/tmp/",
    "sqlx",
    "SqlxError",
    "sea_orm",
    "DbErr",
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "no such table",
    "relation \"",
    "poem",
    "serde",
    "LoginRequest",
    "SignUpRequest",
    "Request`",
    "stack backtrace",
    "lost_",
    "Uuid",
];

/// Bodies that no operation takes, or that some do not.
const BODIES: [(&str, &str); 10] = [
    (JSON, ""),
    (JSON, "{"),
    (JSON, "{}"),
    (JSON, "[]"),
    (JSON, "null"),
    (JSON, "{\"a\":1,\"a\":2}"),
    (JSON, "{\"email\":1,\"password\":[],\"token\":{},\"code\":false,\"login_id\":\"x\",\"new_password\":0}"),
    (JSON, "{\"email\":\"\",\"password\":\"\",\"token\":\"\",\"code\":\"\",\"login_id\":\"\",\"new_password\":\"\"}"),
    ("text/plain", "x"),
    ("application/xml", "<a/>"),
];

/// One operation of the document.
struct Operation {
    method: Method,
    path: String,
    is_protected: bool,
    takes_json: bool,
}

async fn operations(app: &TestApp) -> Vec<Operation> {
    let document = app.browser().get("/openapi.json").await.json();
    let mut operations = Vec::new();
    for (template, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let Ok(method) = Method::from_bytes(method.to_ascii_uppercase().as_bytes()) else { continue };
            operations.push(Operation {
                method,
                path: fill(template),
                is_protected: operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty()),
                takes_json: operation["requestBody"].is_object(),
            });
        }
    }
    operations
}

/// The template with an id that nothing has.
fn fill(template: &str) -> String {
    let parts = template.split('/');
    let filled: Vec<_> =
        parts.map(|part| if part.starts_with('{') { "018f5f3e-0000-7000-8000-000000000000" } else { part }).collect();
    filled.join("/")
}

/// Asserts the form of RFC 9457 as the document describes it, and returns the code.
#[track_caller]
fn assert_problem(answer: &Answer, documented: &BTreeSet<&str>, what: &str) -> String {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}: {}", answer.text);
    let problem = answer.json();
    let members = problem.as_object().cloned().unwrap_or_default();
    for (name, value) in &members {
        let fits = match name.as_str() {
            "type" | "title" | "code" | "detail" | "instance" => value.as_str().is_some_and(|text| !text.is_empty()),
            "status" => *value == answer.status,
            "retry_after_seconds" => value.as_i64().is_some_and(|seconds| seconds > 0),
            "errors" => value.as_array().is_some_and(|errors| !errors.is_empty() && errors.iter().all(is_field)),
            _ => false,
        };
        assert!(fits, "{what}: {name} of {problem}");
    }
    for name in ["type", "title", "status", "code", "instance"] {
        assert!(members.contains_key(name), "{what}: no {name} in {problem}");
    }
    let code = problem["code"].as_str().unwrap_or_default().to_owned();
    assert!(documented.contains(code.as_str()), "{what}: {code} is not documented");
    assert_eq!(problem["type"], format!("https://gatepost.dev/problems#{code}"), "{what}");
    let id = answer.header("x-request-id").unwrap_or_default();
    assert_eq!(problem["instance"], format!("urn:uuid:{id}"), "{what}");
    assert_eq!(answer.header("retry-after").is_some(), members.contains_key("retry_after_seconds"), "{what}");
    assert_eq!(answer.header("www-authenticate").is_some(), answer.status == 401, "{what}");
    for inside in INSIDE {
        assert!(!answer.text.contains(inside), "{what}: {inside:?} in {}", answer.text);
    }
    code
}

fn is_field(error: &Value) -> bool {
    let members = error.as_object().map(|members| members.keys().map(String::as_str).collect::<Vec<_>>());
    members.is_some_and(|mut names| {
        names.sort_unstable();
        names == ["code", "detail", "pointer"]
    }) && error["pointer"].as_str().is_some_and(|pointer| pointer.is_empty() || pointer.starts_with('/'))
}

fn documented() -> BTreeSet<&'static str> {
    gateway::problem_kinds::all().into_iter().map(|kind| kind.code).collect()
}

/// A20: every operation that needs a session answers 401 with a challenge without one, and with one that is not valid.
#[tokio::test(flavor = "multi_thread")]
async fn every_protected_operation_asks_for_a_credential() {
    let app = TestApp::new().await;
    let operations = operations(&app).await;
    let protected: Vec<_> = operations.iter().filter(|operation| operation.is_protected).collect();
    assert!(protected.len() >= 8, "{} of {} operations", protected.len(), operations.len());
    let callers: [(&str, Caller<'_>); 4] = [
        ("none", app.browser()),
        ("a bearer", app.browser().bearer(&format!("gpst_{}", "A".repeat(43)))),
        ("a cookie", app.browser()),
        ("basic", app.browser().header("authorization", "Basic YTpi")),
    ];
    callers[2].1.set_cookie("gatepost_session", &format!("gpst_{}", "A".repeat(43)));
    for operation in protected {
        for (credential, caller) in &callers {
            let what = format!("{} {} with {credential}", operation.method, operation.path);
            let body = operation.takes_json.then(|| (JSON, "{}".to_owned()));
            let answer = caller.send(operation.method.clone(), &operation.path, body).await;
            assert_eq!(answer.status, 401, "{what}: {}", answer.text);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"gatepost\""), "{what}");
            assert_eq!(assert_problem(&answer, &documented(), &what), "unauthenticated");
        }
    }
}

/// A21, W30, T-API-04: whatever is wrong with a request to whatever operation, the answer is a documented problem that
/// tells nothing of the inside.
#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_a_documented_problem() {
    let app = TestApp::new().await;
    let documented = documented();
    let browser = app.browser();
    browser.sign_up_verified(EMAIL).await;
    browser.log_in(EMAIL, PASSWORD).await;
    let mut codes = BTreeSet::new();
    for operation in operations(&app).await {
        let Operation { method, path, takes_json, .. } = operation;
        let long = format!("\"{}\"", "a".repeat(70_000));
        let bodies = BODIES.into_iter().chain([(JSON, long.as_str())]);
        for (content_type, body) in bodies.filter(|_| takes_json) {
            let what = format!("{method} {path} {content_type} {}", &body[..body.len().min(40)]);
            let answer = browser.send(method.clone(), &path, Some((content_type, body.to_owned()))).await;
            if answer.status >= 400 {
                codes.insert(assert_problem(&answer, &documented, &what));
            }
            assert!(answer.status < 500, "{what}: {}", answer.text);
        }
        for (caller, path) in [
            (app.browser(), format!("{path}/x/y")),
            (app.browser().header("origin", "https://evil.example"), path.clone()),
            (app.browser().header("x-long", &"a".repeat(20_000)), path.clone()),
            (app.browser(), format!("{path}?{}", "a".repeat(9000))),
            (app.browser(), format!("{path}?x=%00")),
            (app.browser(), path.replace("018f5f3e-0000-7000-8000-000000000000", "x")),
        ] {
            for method in [&method, &Method::PUT] {
                let answer = caller.send(method.clone(), &path, None).await;
                if answer.status >= 400 {
                    let what = format!("{method} {}", &path[..path.len().min(80)]);
                    codes.insert(assert_problem(&answer, &documented, &what));
                }
            }
        }
    }
    app.drain().await;
    // So much was reached; which of the others can be, their own tests show.
    for code in [
        "body_too_large",
        "csrf_rejected",
        "headers_too_large",
        "invalid_json",
        "invalid_request",
        "invalid_token",
        "method_not_allowed",
        "not_found",
        "unauthenticated",
        "unsupported_media_type",
        "uri_too_long",
        "validation_failed",
    ] {
        assert!(codes.contains(code), "{code} is not among {codes:?}");
    }
}

/// A21: the codes of problems are in the document for clients, one by one.
#[tokio::test(flavor = "multi_thread")]
async fn a_problem_has_the_shape_that_the_document_describes() {
    let app = TestApp::new().await;
    let document = app.browser().get("/openapi.json").await.json();
    let schema = &document["components"]["schemas"]["Problem"];
    let described: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let known = ["type", "title", "status", "code", "detail", "instance", "retry_after_seconds", "errors"];
    assert_eq!(described, known.into_iter().collect());
    for operation in
        document["paths"].as_object().unwrap().values().flat_map(|methods| methods.as_object().unwrap().values())
    {
        let failures =
            operation["responses"].as_object().unwrap().iter().filter(|(status, _)| !status.starts_with(['2', '3']));
        let failures: Vec<_> = failures.collect();
        assert!(!failures.is_empty(), "{}", operation["operationId"]);
        for (status, response) in failures {
            let response = match response["$ref"].as_str() {
                Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
                None => response,
            };
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{} {status}", operation["operationId"]);
        }
    }
}

/// T-API-04: a broken database is a server error that says nothing but its id, and the process lives on.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_says_nothing_but_its_id() {
    let app = TestApp::new().await;
    let browser = app.browser();
    browser.sign_up_verified(EMAIL).await;
    browser.log_in(EMAIL, PASSWORD).await;
    let capture = harness::log::Capture::start();
    app.execute("ALTER TABLE users RENAME TO lost_users").await;
    let documented = documented();
    let wrong = json!({ "email": EMAIL, "password": PASSWORD });
    for (path, body) in [
        ("/api/login", wrong.clone()),
        ("/api/signup", wrong.clone()),
        ("/api/reset", json!({ "email": EMAIL })),
        ("/api/email_verification/resend", json!({ "email": EMAIL })),
        ("/api/logout", json!({})),
    ] {
        let answer = browser.post(path, body).await;
        assert_eq!(assert_problem(&answer, &documented, path), "internal_error");
        assert_eq!(answer.json().get("detail"), None, "{}", answer.text);
        let id = answer.header("x-request-id").unwrap().to_owned();
        let log = capture.text();
        let causes = log.lines().filter(|line| line.contains(&id) && line.contains("a request failed")).count();
        assert_eq!(causes, 1, "the cause of {path} is in the log once");
    }
    let page = app.browser().header("accept", "text/html").post_form("/reset", &format!("email={EMAIL}")).await;
    assert_eq!(page.status, 500);
    for inside in INSIDE.into_iter().filter(|inside| *inside != "/src/") {
        assert!(!page.text.contains(inside), "{inside:?} in {}", page.text);
    }
    app.execute("ALTER TABLE lost_users RENAME TO users").await;
    browser.get("/api/users/@me").await.expect(200);
    let again = app.browser().post("/api/login", wrong).await.expect(200).json();
    assert_eq!(again["status"], "email_mfa_required");
    app.drain().await;
}
