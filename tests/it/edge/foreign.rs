//! Other sites: they change nothing on behalf of a user, and read nothing.

use harness::{Caller, OTHER_PASSWORD, PASSWORD, TestApp};
use poem::http::Method;
use serde_json::json;

const EMAIL: &str = "ann@example.com";
const ME: &str = "/api/users/@me";

/// A browser that is signed in.
async fn signed_in(app: &TestApp) -> Caller<'_> {
    let browser = app.browser();
    browser.sign_up_verified(EMAIL).await;
    browser.log_in(EMAIL, PASSWORD).await;
    browser
}

/// Another caller with the cookies of this one.
fn with_its_cookies<'a>(other: Caller<'a>, browser: &Caller<'_>) -> Caller<'a> {
    for name in ["gatepost_session", "gatepost_login", "gatepost_device"] {
        if let Some(value) = browser.cookie(name) {
            other.set_cookie(name, &value);
        }
    }
    other
}

/// What browsers and scripts of other sites send along.
const FOREIGN: [&[(&str, &str)]; 10] = [
    &[("sec-fetch-site", "cross-site")],
    &[("sec-fetch-site", "same-site")],
    &[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8080")],
    &[("origin", "https://evil.example")],
    &[("origin", "null")],
    &[("origin", "http://localhost:8080.evil.example")],
    &[("origin", "http://localhost")],
    &[("origin", "https://localhost:8080")],
    &[("origin", "http://localhost:8080"), ("origin", "https://evil.example")],
    &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
];

/// O12, T-SESS-08: a write with a session cookie from another site, or from nowhere, is refused, whatever its media type,
/// and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_from_another_site_is_refused_and_changes_nothing() {
    let app = TestApp::new().await;
    let browser = signed_in(&app).await;
    let before = browser.get(ME).await.text;
    let password = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD }).to_string();
    let requests = [
        (Method::POST, "/api/logout", "{}"),
        (Method::PATCH, ME, "{\"first_name\":\"Eve\"}"),
        (Method::POST, "/api/users/@me/password", password.as_str()),
    ];
    for headers in FOREIGN {
        let caller = headers.iter().fold(app.browser(), |caller, (name, value)| caller.header(name, value));
        let caller = with_its_cookies(caller, &browser);
        for (method, path, body) in &requests {
            for content_type in
                ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
            {
                let answer = caller.send(method.clone(), path, Some((content_type, (*body).to_owned()))).await;
                // A body that the operation does not read may be refused for that first; nothing gets further.
                assert!(
                    matches!(answer.status, 403 | 415),
                    "{method} {path} {headers:?} {content_type}: {}",
                    answer.text
                );
                if content_type == "application/json" {
                    answer.expect_problem(403, "csrf_rejected");
                }
            }
        }
    }
    // No origin at all: some program with a cookie, not a browser's own page.
    let program = with_its_cookies(app.browser().plain(), &browser);
    for (method, path, body) in &requests {
        let answer = program.send(method.clone(), path, Some(("application/json", (*body).to_owned()))).await;
        answer.expect_problem(403, "csrf_rejected");
    }
    assert_eq!(browser.get(ME).await.expect(200).text, before);
    assert_eq!(app.unfinished_jobs().await, Vec::<String>::new());
    let own = with_its_cookies(app.browser().header("origin", "http://localhost:8080"), &browser);
    own.patch(ME, json!({ "first_name": "Ann" })).await.expect(200);
    let own = with_its_cookies(app.browser().header("sec-fetch-site", "same-origin"), &browser);
    own.post("/api/logout", json!({})).await.expect(204);
}

/// O12, T-SESS-08: signing somebody in, or starting anything else, from another site is refused too.
#[tokio::test(flavor = "multi_thread")]
async fn no_operation_can_be_started_from_another_site() {
    let app = TestApp::new().await;
    app.browser().sign_up_verified(EMAIL).await;
    let hashes = app.hasher.computed();
    for headers in FOREIGN {
        let caller = headers.iter().fold(app.browser(), |caller, (name, value)| caller.header(name, value));
        for path in
            ["/api/login", "/api/signup", "/api/reset", "/api/email_verification/resend", "/api/login/email_mfa"]
        {
            for content_type in ["application/json", "text/plain", "application/x-www-form-urlencoded"] {
                let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
                let answer = caller.send(Method::POST, path, Some((content_type, body))).await;
                answer.expect_problem(403, "csrf_rejected");
                assert!(answer.headers.get("set-cookie").is_none());
            }
        }
    }
    // Login cross-site request forgery with a form: no media type of a form is read.
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
        let answer = app.browser().plain().send(Method::POST, "/api/login", Some((content_type, body))).await;
        answer.expect_problem(415, "unsupported_media_type");
    }
    assert_eq!(app.hasher.computed(), hashes);
}

/// O12, T-SESS-08: the forms of the pages are refused from elsewhere. Those that a mailed token authorises are taken from
/// browsers that withhold the origin, as they do for our own pages; the one that a cookie authorises is not.
#[tokio::test(flavor = "multi_thread")]
async fn the_forms_of_the_pages_are_refused_from_elsewhere() {
    let app = TestApp::new().await;
    let browser = signed_in(&app).await;
    let callers = FOREIGN
        .iter()
        .map(|headers| headers.iter().fold(app.browser(), |caller, (name, value)| caller.header(name, value)))
        .chain([app.browser().plain()]);
    for caller in callers {
        let caller = with_its_cookies(caller, &browser);
        let answer = caller.post_form("/login/email", "token=x&login_id=x&code=1").await;
        answer.expect_problem(403, "csrf_rejected");
    }
    for headers in FOREIGN.iter().filter(|headers| **headers != [("origin", "null")]) {
        let caller = headers.iter().fold(app.browser(), |caller, (name, value)| caller.header(name, value));
        let caller = with_its_cookies(caller, &browser);
        for path in ["/reset", "/verify_email"] {
            let answer = caller.post_form(path, &format!("email={EMAIL}&token=x")).await;
            answer.expect_problem(403, "csrf_rejected");
        }
    }
    let own = app.browser().header("sec-fetch-site", "same-origin").header("origin", "null");
    own.post_form("/verify_email", "token=x").await.expect_problem(400, "invalid_token");
    assert_eq!(app.unfinished_jobs().await, Vec::<String>::new());
}

/// O12: a bearer token is sent by programs on purpose, so it needs no origin; it does not help a foreign page either.
#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_token_needs_no_origin() {
    let app = TestApp::new().await;
    app.browser().sign_up_verified(EMAIL).await;
    let program = app.browser().plain();
    let body = json!({ "email": EMAIL, "password": PASSWORD, "session_transport": "token" });
    let pending = program.post("/api/login", body).await.expect(200).json()["email_mfa"].clone();
    app.drain().await;
    let code = harness::code_in(&app.mail_to(EMAIL).await.text);
    let proof = json!({ "login_id": pending["login_id"], "login_token": pending["login_token"], "code": code });
    let login = program.post("/api/login/email_mfa", proof).await.expect(200);
    assert!(login.headers.get("set-cookie").is_none());
    let token = login.json()["session"]["token"].as_str().unwrap().to_owned();
    let program = app.browser().plain().bearer(&token);
    program.patch(ME, json!({ "first_name": "Ann" })).await.expect(200);
    let foreign = app.browser().header("origin", "https://evil.example").bearer(&token);
    foreign.patch(ME, json!({ "first_name": "Eve" })).await.expect_problem(403, "csrf_rejected");
    assert_eq!(program.get(ME).await.json()["first_name"], "Ann");
}

/// T-SESS-09: no answer lets another origin read it, whatever it calls itself, and no preflight succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn no_other_origin_may_read_an_answer() {
    let app = TestApp::new().await;
    let browser = signed_in(&app).await;
    for origin in [
        "null",
        "https://evil.example",
        "http://localhost:8080.evil.example",
        "http://evil.localhost:8080",
        "http://localhost:8081",
        "https://localhost:8080",
        "http://localhost:8080",
    ] {
        let caller = with_its_cookies(app.browser().header("origin", origin), &browser);
        let asking = with_its_cookies(app.browser().header("origin", origin), &browser)
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "content-type");
        for path in [ME, "/api/login", "/api/nowhere", "/openapi.json", "/health/live", "/reset", "/api/jobs"] {
            let preflight = asking.send(Method::OPTIONS, path, None).await;
            assert!(preflight.status >= 400, "{path}: {}", preflight.status);
            for answer in [caller.get(path).await, preflight] {
                let granted: Vec<_> =
                    answer.headers.keys().filter(|name| name.as_str().starts_with("access-control")).collect();
                assert!(granted.is_empty(), "{origin} {path}: {granted:?}");
            }
        }
    }
}
