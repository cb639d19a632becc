//! What requests may be made of: sizes, text, JSON, methods, and headers that are not what they claim.

use std::time::{Duration, Instant};

use harness::{Answer, Caller, PASSWORD, TestApp};
use poem::http::Method;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::json;

const JSON: &str = "application/json";
const EMAIL: &str = "ann@example.com";
const ME: &str = "/api/users/@me";

/// Operations and all text members of their bodies.
const OPERATIONS: [(Method, &str, &[&str]); 11] = [
    (Method::POST, "/api/signup", &["email", "password", "first_name", "last_name"]),
    (Method::POST, "/api/login", &["email", "password", "session_transport"]),
    (Method::POST, "/api/login/email_mfa", &["login_id", "login_token", "code", "token"]),
    (Method::POST, "/api/login/email_mfa/resend", &["login_id", "login_token"]),
    (Method::POST, "/api/email_verification/confirm", &["token", "email", "code"]),
    (Method::POST, "/api/email_verification/resend", &["email"]),
    (Method::POST, "/api/reset", &["email"]),
    (Method::POST, "/api/reset/validate", &["token"]),
    (Method::POST, "/api/reset/complete", &["token", "password"]),
    (Method::PATCH, ME, &["email", "first_name", "last_name"]),
    (Method::POST, "/api/users/@me/password", &["current_password", "new_password"]),
];

async fn signed_in(app: &TestApp) -> Caller<'_> {
    let browser = app.browser();
    browser.sign_up_verified(EMAIL).await;
    browser.log_in(EMAIL, PASSWORD).await;
    browser
}

/// A well-formed value for a member.
fn ordinary(member: &str) -> &'static str {
    match member {
        "email" => EMAIL,
        "password" | "current_password" => PASSWORD,
        "new_password" => harness::OTHER_PASSWORD,
        "login_id" => "018f5f3e-0000-7000-8000-000000000000",
        "session_transport" => "cookie",
        _ => "abc",
    }
}

/// A body in which one member is this, and the others are ordinary.
fn body_with(members: &[&str], poisoned: &str, poison: &[u8]) -> Vec<u8> {
    let mut body = b"{".to_vec();
    for (index, member) in members.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(format!("\"{member}\":\"").as_bytes());
        let value: &[u8] = if *member == poisoned { poison } else { ordinary(member).as_bytes() };
        body.extend_from_slice(value);
        body.push(b'"');
    }
    body.push(b'}');
    body
}

fn assert_refused(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text);
    let code = answer.json().get("code").cloned().unwrap_or_default();
    assert!(code == "invalid_json" || code == "invalid_request", "{what}: {}", answer.text);
}

/// T-LOGIN-17: U+0000, unpaired surrogates, overlong and otherwise broken UTF-8 are refused in every member of every
/// body, before anything else happens.
#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_none_is_refused_in_every_member() {
    let app = TestApp::new().await;
    let browser = signed_in(&app).await;
    let (hashes, before) = (app.hasher.computed(), app.dump().await);
    let poisons: [&[u8]; 11] = [
        b"a\\u0000b",
        b"a\0b",
        b"\\u0000",
        b"a\\ud800b",
        b"\\udc00\\ud800",
        b"\\ud83d\\u0041",
        b"a\xc0\x80b",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"a\xffb",
    ];
    for (method, path, members) in OPERATIONS {
        for member in members {
            for poison in poisons {
                let body = body_with(members, member, poison);
                let what = format!("{method} {path} {member} {}", poison.escape_ascii());
                assert_refused(&browser.send_bytes(method.clone(), path, Some((JSON, body))).await, &what);
            }
        }
        for name in ["{\"a\\u0000\":1}", "{\"\\ud800\":1}"] {
            let answer = browser.send(method.clone(), path, Some((JSON, name.to_owned()))).await;
            assert_refused(&answer, &format!("{method} {path} {name}"));
        }
    }
    assert_eq!(app.hasher.computed(), hashes);
    assert_eq!(app.dump().await, before, "a refused body leaves nothing behind");
}

/// T-LOGIN-17: the same in the forms of the pages, in queries and in paths.
#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_none_is_refused_in_forms_and_addresses() {
    let app = TestApp::new().await;
    for poison in ["%00", "a%00b", "%c0%80", "%ed%a0%80", "%ff", "%f5%80%80%80"] {
        for (path, members) in [
            ("/reset", &["email", "token", "password"][..]),
            ("/verify_email", &["token"]),
            ("/login", &["email", "password", "next"]),
            ("/login/email", &["token", "login_id", "code", "remember_device", "next"]),
            ("/login/two_factor", &["login_id", "code", "remember_device", "next"]),
        ] {
            for member in members {
                let answer = app.browser().post_form(path, &format!("{member}={poison}")).await;
                assert_refused(&answer, &format!("{path} {member}={poison}"));
                let answer = app.browser().get(&format!("{path}?{member}={poison}")).await;
                assert_refused(&answer, &format!("{path}?{member}={poison}"));
            }
        }
        for path in [format!("/api/jobs/{poison}"), format!("/{poison}"), format!("/api/jobs?cursor={poison}")] {
            assert_refused(&app.browser().get(&path).await, &path);
        }
    }
    // The raw bytes of a form, not percent-encoded.
    let form = "application/x-www-form-urlencoded";
    for bytes in [&b"email=a\0b"[..], b"email=\xff", b"email=\xc0\x80"] {
        let answer = app.browser().send_bytes(Method::POST, "/reset", Some((form, bytes.to_vec()))).await;
        assert_refused(&answer, &bytes.escape_ascii().to_string());
    }
}

/// T-LOGIN-17: text that is unusual and fine stays fine: it is refused for what it means, or taken.
#[tokio::test(flavor = "multi_thread")]
async fn unusual_text_is_no_server_error() {
    let app = TestApp::new().await;
    let browser = signed_in(&app).await;
    for text in [
        "\u{1}",
        "\u{feff}",
        "\u{fffe}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{202e}abc",
        "\u{1f9ca}",
        "'; DROP TABLE users; --",
        "%s%n",
        "\\",
        "${7*7}",
        "\u{d7ff}\u{e000}",
    ] {
        for (method, path, members) in OPERATIONS {
            for member in members.iter().filter(|member| **member != "new_password") {
                let mut body: serde_json::Map<String, serde_json::Value> =
                    members.iter().map(|name| ((*name).to_owned(), json!(ordinary(name)))).collect();
                body.insert((*member).to_owned(), json!(text));
                body.remove("new_password");
                let answer = app.browser().send(method.clone(), path, Some((JSON, json!(body).to_string()))).await;
                assert!(answer.status < 500, "{method} {path} {member} {text:?}: {}", answer.text);
            }
        }
        let answer = browser.patch(ME, json!({ "first_name": format!("x{text}") })).await;
        assert!(matches!(answer.status, 200 | 422), "{text:?}: {}", answer.text);
    }
    app.drain().await;
    browser.get(ME).await.expect(200);
}

/// T-LOGIN-12, W11: ten megabytes are refused at once, and no hash is computed for them.
#[tokio::test(flavor = "multi_thread")]
async fn a_huge_body_is_refused_without_a_hash() {
    let app = TestApp::new().await;
    let browser = signed_in(&app).await;
    let (hashes, jobs) = (app.hasher.computed(), app.unfinished_jobs().await.len());
    let huge = "a".repeat(10 * 1024 * 1024);
    let mut fastest = Duration::MAX;
    for (method, path, members) in OPERATIONS {
        for member in members {
            let body = body_with(members, member, huge.as_bytes());
            let begin = Instant::now();
            let answer = browser.send_bytes(method.clone(), path, Some((JSON, body))).await;
            fastest = fastest.min(begin.elapsed());
            answer.expect_problem(413, "body_too_large");
        }
    }
    // The fastest of many: how long it takes, and not what else the machine does.
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
    for path in ["/reset", "/verify_email", "/login", "/login/email", "/login/two_factor"] {
        browser.post_form(path, &format!("token={huge}")).await.expect_problem(413, "body_too_large");
    }
    assert_eq!((app.hasher.computed(), app.unfinished_jobs().await.len()), (hashes, jobs));
    // The largest body that is read: refused for its password, still without a hash.
    let fitting = "a".repeat(65_000);
    let answer = browser.post("/api/login", json!({ "email": EMAIL, "password": fitting })).await;
    answer.expect_problem(401, "invalid_credentials");
    assert_eq!(app.hasher.computed(), hashes);
}

/// T-API-02: no method but the documented one reaches an operation, and no header or parameter stands in for it.
#[tokio::test(flavor = "multi_thread")]
async fn other_methods_and_overrides_are_refused() {
    let app = TestApp::new().await;
    let browser = app.browser();
    let overriding = app.browser().header("x-http-method-override", "POST").header("x-method-override", "POST");
    for path in ["/api/login", "/api/logout", "/api/signup?_method=POST"] {
        overriding.get(path).await.expect_problem(405, "method_not_allowed");
    }
    for method in ["TRACE", "TRACK", "CONNECT", "PUT", "DELETE", "PROPFIND", "get", "POST1"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        for path in ["/api/login", "/reset", "/health/live"] {
            let answer = browser.send(method.clone(), path, None).await;
            answer.expect_problem(405, "method_not_allowed");
            assert!(
                answer.header("allow").is_some_and(|allowed| !allowed.contains(method.as_str())),
                "{method} {path}"
            );
        }
    }
}

/// T-API-02: members named twice, deep nesting, foreign media types and values of another type are refused.
#[tokio::test(flavor = "multi_thread")]
async fn tricks_with_bodies_are_refused() {
    let app = TestApp::new().await;
    let browser = signed_in(&app).await;
    let hashes = app.hasher.computed();
    let twice = format!("{{\"email\":\"{EMAIL}\",\"password\":\"x\",\"password\":\"{PASSWORD}\"}}");
    let escaped = format!("{{\"email\":\"{EMAIL}\",\"p\\u0061ssword\":\"x\",\"password\":\"{PASSWORD}\"}}");
    let deep = format!("{{\"email\":\"{EMAIL}\",\"password\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    let deeper = "[".repeat(30_000);
    for body in [
        twice,
        escaped,
        deep,
        deeper,
        "{}{}".into(),
        "{'a':1}".into(),
        "NaN".into(),
        "\u{feff}{}".into(),
        String::new(),
    ] {
        assert_refused(
            &browser.send(Method::POST, "/api/login", Some((JSON, body.clone()))).await,
            &body[..body.len().min(60)],
        );
    }
    let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    for content_type in [
        "text/plain",
        "text/json",
        "application/xml",
        "application/jsonp",
        "application/x-www-form-urlencoded",
        "",
        "json",
        "application/json, text/plain",
    ] {
        let answer = browser.send(Method::POST, "/api/login", Some((content_type, body.clone()))).await;
        assert!(matches!(answer.status, 400 | 415), "{content_type}: {} {}", answer.status, answer.text);
    }
    for value in [
        json!(null),
        json!([]),
        json!(1),
        json!({ "email": EMAIL, "password": null }),
        json!({ "email": [EMAIL], "password": {} }),
    ] {
        browser.post("/api/login", value).await.expect_problem(422, "validation_failed");
    }
    assert_eq!(app.hasher.computed(), hashes);
    browser.get(ME).await.expect(200);
}

/// Runs an async check for many generated values.
fn check_all<S>(strategy: &S, check: impl AsyncFn(S::Value))
where
    S: Strategy,
{
    let config = Config { cases: 128, failure_persistence: None, ..Config::default() };
    tokio::task::block_in_place(|| {
        let outcome = TestRunner::new(config).run(strategy, |value| {
            tokio::runtime::Handle::current().block_on(check(value));
            Ok(())
        });
        assert!(outcome.is_ok(), "{outcome:?}");
    });
}

/// Text that a header can hold, often built of the parts that ours are built of.
fn header_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("Bearer ".to_owned()),
        Just("bearer\t".to_owned()),
        Just("Basic YTpi".to_owned()),
        Just("gpst_".to_owned()),
        Just(format!("gpst_{}", "A".repeat(43))),
        Just("gatepost_session=".to_owned()),
        Just("gatepost_login=gplt_".to_owned()),
        Just("gatepost_device=".to_owned()),
        Just("\"; ".to_owned()),
        Just(",".to_owned()),
        Just("=;;=".to_owned()),
        "[ -~]{0,60}",
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat().trim().to_owned())
}

/// T-LOGIN-18: no `Authorization` header that is none of ours signs anybody in, also beside a good cookie.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_authorization_header_is_unauthenticated() {
    let app = TestApp::new().await;
    let browser = signed_in(&app).await;
    let session = browser.cookie("gatepost_session").unwrap();
    check_all(&header_text(), async |text| {
        let caller = app.browser().header("authorization", &text);
        caller.set_cookie("gatepost_session", &session);
        for path in [ME, "/api/jobs"] {
            let answer = caller.get(path).await;
            assert_eq!(answer.status, 401, "{text:?}: {}", answer.text);
            assert!(answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")));
        }
    });
    browser.get(ME).await.expect(200);
}

/// T-LOGIN-18: no cookie that is none of ours signs anybody in or finishes a login, and none is a server error.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_cookie_is_unauthenticated() {
    let app = TestApp::new().await;
    let browser = signed_in(&app).await;
    check_all(&header_text(), async |text| {
        let caller = app.browser().header("cookie", &text);
        caller.get(ME).await.expect_problem(401, "unauthenticated");
        caller.post("/api/logout", json!({})).await.expect_problem(401, "unauthenticated");
        let proof = json!({ "login_id": ordinary("login_id"), "code": "000000" });
        caller.post("/api/login/email_mfa", proof).await.expect_problem(400, "login_not_found");
        let login = json!({ "email": EMAIL, "password": "wrong" });
        caller.post("/api/login", login).await.expect_problem(401, "invalid_credentials");
    });
    // A cookie that comes twice is not ours, even if one of the two is.
    let session = browser.cookie("gatepost_session").unwrap();
    for line in [format!("gatepost_session={session}; gatepost_session=x"), format!("gatepost_session=\"{session}")] {
        let answer = app.browser().header("cookie", &line).get(ME).await;
        assert!(matches!(answer.status, 200 | 401) && (answer.status == 401 || !line.contains("=x")), "{line}");
    }
    // Bytes that are no text, in the headers that are read.
    for name in
        ["cookie", "authorization", "user-agent", "accept", "content-type", "x-forwarded-for", "origin", "traceparent"]
    {
        let request = poem::Request::builder()
            .uri_str(ME)
            .header(name, poem::http::HeaderValue::from_bytes(b"\xff\xc0\x80 x").unwrap());
        let response = poem::Endpoint::get_response(app.endpoint(), request.finish()).await;
        assert_eq!(response.status().as_u16(), 401, "{name}");
    }
}
