//! What clients are answered: statuses, headers, and the routes that are the same for everybody.

use std::time::Duration;

use harness::{Answer, Caller, PASSWORD, Settings, TestApp};
use poem::http::Method;
use serde_json::{Value, json};
use shared::rate_limit::Limit;

use super::{batch, count_events, gzip, project_token, texts};

const PAGE: &str = "https://shop.example";

/// A page of another origin.
fn page(app: &TestApp) -> Caller<'_> {
    app.browser().header("origin", PAGE).header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "cors")
}

/// Every route with its method, and what it takes.
fn routes(token: &str) -> Vec<(Method, String, Option<Value>)> {
    let mut routes: Vec<_> = ["/e", "/i/v0/e", "/capture", "/track", "/engage", "/batch"]
        .into_iter()
        .map(|path| (Method::POST, path.to_owned(), Some(batch(token, &["seen"]))))
        .collect();
    let flags = json!({ "token": token, "distinct_id": "ann" });
    for path in ["/flags?v=1", "/flags?v=2", "/flags?v=4", "/flags", "/decide?v=3", "/decide", "/s"] {
        routes.push((Method::POST, path.to_owned(), Some(flags.clone())));
    }
    for name in ["config", "config.js"] {
        routes.push((Method::GET, format!("/array/{token}/{name}"), None));
    }
    routes
}

/// The same address with a slash at the end of its path.
fn slashed(path: &str) -> String {
    match path.split_once('?') {
        Some((path, query)) => format!("{path}/?{query}"),
        None => format!("{path}/"),
    }
}

#[track_caller]
fn assert_open(answer: &Answer, origin: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{answer:?}");
    assert!(answer.headers.get_all("vary").iter().any(|vary| vary == "Origin"), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("set-cookie"), None);
}

/// ID-37, ID-42, ID-40: every route answers exactly 200 and lets every origin read it, with and without a slash at the end
#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_200_with_and_without_a_slash() {
    let app = TestApp::new().await;
    let token = project_token(&app).await;
    for (method, path, body) in routes(&token) {
        for path in [path.clone(), slashed(&path)] {
            let sent = body.as_ref().map(|body| ("text/plain", gzip(body.to_string().as_bytes())));
            let answer = page(&app).send_bytes(method.clone(), &path, sent.clone()).await;
            assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
            assert_open(&answer, PAGE);
            assert_open(&app.browser().plain().send_bytes(method.clone(), &path, sent).await, "*");
        }
    }
    // A beacon: no CORS, an opaque body, nobody reads the answer.
    let beacon = app.browser().header("origin", PAGE).header("sec-fetch-mode", "no-cors");
    let body = gzip(batch(&token, &["left"]).to_string().as_bytes());
    assert_eq!(beacon.send_bytes(Method::POST, "/e/?beacon=1", Some(("text/plain", body))).await.status, 200);
    let data = "eyJldmVudCI6ImEiLCJkaXN0aW5jdF9pZCI6ImEiLCJ0b2tlbiI6IlQifQ==";
    assert_eq!(page(&app).get(&format!("/e/?data={data}")).await.status, 401);
    let query = format!("/e?data=%7B%22event%22:%22a%22,%22distinct_id%22:%22a%22,%22token%22:%22{token}%22%7D");
    assert_eq!(page(&app).get(&query).await.status, 200);
    assert_eq!(count_events(&app).await, 6 + 2, "each delivery once, however often it came");
    app.drain().await;
}

/// ID-40: preflights are answered for every route, and allow what was asked for except credentials
#[tokio::test(flavor = "multi_thread")]
async fn preflights_are_answered() {
    let app = TestApp::new().await;
    for (_, path, _) in routes("gpc_x") {
        for path in [path.clone(), slashed(&path)] {
            let asking = page(&app)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "content-type,x-posthog-session-id");
            let answer = asking.send(Method::OPTIONS, &path, None).await.expect(200);
            assert_open(&answer, PAGE);
            assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST, OPTIONS"), "{path}");
            let headers = answer.header("access-control-allow-headers");
            assert_eq!(headers, Some("content-type,x-posthog-session-id"), "{path}");
            assert_eq!(answer.header("access-control-max-age"), Some("86400"));
            assert_eq!(answer.text, "");
        }
    }
    // The other routes of this server stay closed.
    let answer = page(&app).send(Method::OPTIONS, "/api/login", None).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (405, None));
}

/// ID-44: clients of old send credentials with everything, and lose their events where these are not allowed. They are
/// told by the version in their query, and the cookies that come along are not read.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_credentials_can_read_answers() {
    let app = TestApp::new().await;
    let token = project_token(&app).await;
    for path in ["/e/?ip=1&_=1795232742498&ver=1.200.0", "/decide/?v=3&ip=1&_=1795232742395&ver=1.100.0"] {
        let old = page(&app).header("access-control-request-method", "POST");
        old.set_cookie("gatepost_session", "gpst_forged");
        for answer in [old.send(Method::OPTIONS, path, None).await, old.post(path, batch(&token, &["seen"])).await] {
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
            assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
            assert_eq!(answer.header("set-cookie"), None);
        }
    }
    assert_eq!(count_events(&app).await, 1);
    app.drain().await;
}

/// ID-40, ID-47: an error is readable by pages of every origin, with a text that says what is wrong
#[tokio::test(flavor = "multi_thread")]
async fn errors_can_be_read() {
    let app = TestApp::with(Settings::with(|config| config.capture.body_limit_bytes = 1000)).await;
    let token = project_token(&app).await;
    let page = page(&app);
    let unknown = page.post("/e/", batch("gpc_unknown", &["a"])).await;
    let problem = unknown.expect_problem(401, "invalid_project_token");
    assert_eq!(problem["detail"], "There is no project with this token.");
    let secret = page.post("/e/", batch("gpx_secret", &["a"])).await;
    assert!(secret.expect_problem(401, "invalid_project_token")["detail"].as_str().unwrap().contains("secret key"));
    let malformed = page.post("/batch/", json!({ "api_key": token, "batch": [] })).await;
    malformed.expect_problem(400, "invalid_events");
    let large = page.send_bytes(Method::POST, "/e/", Some(("text/plain", vec![b' '; 1001]))).await;
    large.expect_problem(413, "events_too_large");
    let method = page.send(Method::DELETE, "/e/", None).await;
    method.expect_problem(405, "method_not_allowed");
    assert_eq!(method.header("allow"), Some("GET, POST"));
    let nothing = page.get("/static/array.js?v=1").await;
    nothing.expect_problem(404, "not_found");
    let deep = page.get("/static/1.449.2/recorder.js").await;
    deep.expect_problem(404, "not_found");
    for answer in [unknown, secret, malformed, large, method, nothing, deep] {
        assert_open(&answer, PAGE);
    }
    assert_eq!(count_events(&app).await, 0);
}

/// ID-36: a bomb is 413 over the wire as well, and the limits of events are not those of the API
#[tokio::test(flavor = "multi_thread")]
async fn limits_are_those_of_events() {
    let app = TestApp::new().await;
    let token = project_token(&app).await;
    let bomb = gzip(&vec![b' '; 21 * 1024 * 1024]);
    let answer = page(&app).send_bytes(Method::POST, "/e", Some(("text/plain", bomb))).await;
    answer.expect_problem(413, "events_too_large");
    let event = |size: usize| {
        let text = "x".repeat(size);
        json!({ "api_key": token, "event": "large", "distinct_id": "ann", "properties": { "text": text } }).to_string()
    };
    for (path, size, status) in
        [("/e", 1_000_000, 200), ("/e", 2_200_000, 413), ("/batch", 2_200_000, 200), ("/batch", 21_000_000, 413)]
    {
        let sent = Some(("application/json", event(size)));
        let answer = page(&app).send(Method::POST, path, sent).await;
        assert_eq!(answer.status, status, "{path} with {size}: {:.200}", answer.text);
        assert_open(&answer, PAGE);
    }
    app.drain().await;
}

/// ID-38: what the database does not take is 503 and never 429, and is accepted when it is sent again
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_durable_is_503() {
    let app = TestApp::new().await;
    let token = project_token(&app).await;
    let page = page(&app);
    page.post("/e", batch(&token, &["before"])).await.expect(200);
    app.execute("ALTER TABLE events RENAME TO events_away").await;
    let body = batch(&token, &["seen"]);
    for path in ["/e", "/batch"] {
        let refused = page.post(path, body.clone()).await;
        refused.expect_problem(503, "temporarily_unavailable");
        assert_open(&refused, PAGE);
        assert!(refused.header("retry-after").is_some());
    }
    app.execute("ALTER TABLE events_away RENAME TO events").await;
    page.post("/e", body).await.expect(200);
    let mut names = texts(&app, "SELECT event AS text FROM events").await;
    names.sort();
    assert_eq!(names, ["before", "seen"]);
    app.drain().await;
}

/// ID-38: more than may wait is 503 at once
#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_room_is_503() {
    let app = TestApp::with(Settings::with(|config| config.capture.memory_limit_bytes = 64 * 1024)).await;
    let token = project_token(&app).await;
    let large =
        json!({ "api_key": token, "event": "a", "distinct_id": "ann", "properties": { "x": "y".repeat(40_000) } });
    page(&app).post("/e", large).await.expect_problem(503, "temporarily_unavailable");
    page(&app).post("/e", batch(&token, &["small"])).await.expect(200);
    app.drain().await;
}

/// ID-39: a project that has used up its quota is told so with 200, and its events are not stored
#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_is_told_with_200() {
    let quota = Limit { count: 5, per_seconds: 3600 };
    let app = TestApp::with(Settings::with(move |config| config.capture.quota = quota)).await;
    let token = project_token(&app).await;
    let page = page(&app);
    assert_eq!(page.post("/e", batch(&token, &["a", "b", "c"])).await.expect(200).json(), json!({ "status": 1 }));
    let limited = json!({ "status": 1, "quota_limited": ["events"] });
    assert_eq!(page.post("/e", batch(&token, &["d", "e", "f"])).await.expect(200).json(), limited);
    assert_eq!(page.post("/batch", batch(&token, &["g", "h"])).await.expect(200).json(), json!({ "status": 1 }));
    assert_eq!(page.post("/e", batch(&token, &["i"])).await.expect(200).json(), limited);
    assert_eq!(count_events(&app).await, 5);
    app.advance(Duration::from_secs(3600));
    assert_eq!(page.post("/e", batch(&token, &["j"])).await.expect(200).json(), json!({ "status": 1 }));
    app.drain().await;
}

/// ID-41, ID-58: cookies of a signed-in user, and forged ones of clients, make no difference on these routes; none is set
#[tokio::test(flavor = "multi_thread")]
async fn cookies_are_neither_read_nor_set() {
    let app = TestApp::new().await;
    let token = project_token(&app).await;
    let ann = app.browser();
    ann.sign_up_verified("ann@example.com").await;
    ann.log_in("ann@example.com", PASSWORD).await;
    let session = ann.cookie("gatepost_session").unwrap();
    let seen_at = "SELECT MAX(seen_at) AS number FROM sessions";
    let before = app.number(seen_at).await;
    app.advance(Duration::from_secs(1000));
    for (method, path, body) in routes(&token) {
        let signed_in = page(&app);
        signed_in.set_cookie("gatepost_session", &session);
        signed_in.set_cookie(&format!("ph_{token}_posthog"), "%7B%22distinct_id%22%3A%22victim%22%7D");
        let sent = body.map(|body| ("application/json", body.to_string()));
        let answer = signed_in.send(method, &path, sent).await;
        assert_open(&answer, PAGE);
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.text.contains("ann@") && !answer.text.contains(&session), "{path}: {}", answer.text);
    }
    assert_eq!(app.number(seen_at).await, before, "the session was used");
    assert!(!app.dump().await.contains("victim"));
    app.drain().await;
}

/// ID-43: a token that could leave the script is refused, and what is embedded is a string of JavaScript
#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_cannot_be_made_to_run() {
    let app = TestApp::new().await;
    let answer = page(&app).get("/array/gpc_a-B_9/config.js").await.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/javascript; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
    let (head, rest) = answer.text.split_once("={config:").unwrap();
    assert!(head.ends_with("window._POSTHOG_REMOTE_CONFIG[\"gpc_a-B_9\"]"), "{head}");
    let (config, tail) = rest.rsplit_once(",siteApps:[]}").unwrap();
    assert_eq!(tail, "})();");
    let config: Value = serde_json::from_str(config).unwrap();
    assert_eq!(config, page(&app).get("/array/gpc_a-B_9/config").await.expect(200).json());
    assert_eq!((&config["token"], &config["hasFeatureFlags"]), (&json!("gpc_a-B_9"), &json!(false)));
    for hostile in [
        "%22%5D%3Balert(1)%2F%2F",
        "'%5D%3Balert(1)%2F%2F",
        "%3C%2Fscript%3E",
        "a%0Ab",
        "%E2%80%A8",
        &"a".repeat(65),
        "a%2Fb",
    ] {
        for name in ["config", "config.js"] {
            let answer = page(&app).get(&format!("/array/{hostile}/{name}")).await;
            answer.expect_problem(404, "not_found");
            assert_open(&answer, PAGE);
        }
    }
    page(&app).get("/array//config.js").await.expect_problem(404, "not_found");
}

/// ID-46: every version of the flags route answers a valid empty set
#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_flags() {
    let app = TestApp::new().await;
    for (path, body) in [("/flags/?v=2", "{}"), ("/flags?v=4&config=true", ""), ("/flags", "no JSON")] {
        let answer =
            page(&app).send(Method::POST, path, Some(("text/plain", body.to_owned()))).await.expect(200).json();
        assert_eq!((&answer["flags"], &answer["errorsWhileComputingFlags"]), (&json!({}), &json!(false)), "{path}");
        assert!(answer["requestId"].as_str().is_some_and(|id| id.len() == 36), "{answer}");
        assert!(answer["evaluatedAt"].as_i64().is_some_and(|at| at > 1_700_000_000_000), "{answer}");
    }
    let answer = page(&app).post("/decide/?v=3&ip=1", json!({})).await.expect(200).json();
    assert_eq!((&answer["featureFlags"], &answer["featureFlagPayloads"]), (&json!({}), &json!({})));
    assert_eq!(
        (&answer["supportedCompression"], &answer["sessionRecording"]),
        (&json!(["gzip", "gzip-js"]), &json!(false))
    );
    let recordings = page(&app).post("/s/", json!([])).await.expect(200).json();
    assert_eq!(recordings, json!({ "status": 1, "quota_limited": ["recordings"] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_not_counted_as_callers() {
    let app = TestApp::new().await;
    let token = project_token(&app).await;
    let page = app.browser_at("203.0.113.7").header("origin", PAGE);
    for _ in 0..300 {
        page.post("/e", batch(&token, &["seen"])).await.expect(200);
    }
    assert_eq!(count_events(&app).await, 300);
    app.drain().await;
}
