//! Where a key may stand in a request, and what it is good for.

use std::time::Duration;

use futures_util::future::join_all;
use harness::TestApp;
use poem::http::Method;
use serde_json::json;
use shared::key_format;

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

/// D03: header, body and query each authenticate the same request, the query where the organization allows it; the body may be
/// JSON or a form.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_taken_from_header_body_and_query() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (id, key) = key_of(&app, &browser).await;
    allow_queries(&app, &browser, ADA).await;
    let nobody = app.browser().plain();
    let json_body = json!({ "personal_api_key": key }).to_string();
    for answer in [
        program(&app, &key).get(CURRENT).await,
        nobody.send(Method::GET, CURRENT, Some(("application/json", json_body))).await,
        nobody.send(Method::GET, CURRENT, Some((FORM, format!("a=1&personal_api_key={key}")))).await,
        nobody.get(&format!("{CURRENT}?personal_api_key={key}")).await,
    ] {
        assert_eq!(answer.expect(200).json()["id"], id.as_str());
    }
    nobody.get(CURRENT).await.expect_problem(401, "unauthenticated");
}

/// D04, D05: the first place that has a key decides, and a refusal names it.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_decides_and_a_refusal_says_where_it_was() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (_, good) = key_of(&app, &browser).await;
    let bad = key_format::mint("gpx_").expose().clone();
    let in_query = |key: &str| format!("{ME}?personal_api_key={key}");
    let body = |key: &str| Some(("application/json", json!({ "personal_api_key": key }).to_string()));
    let refusals = [
        (program(&app, &bad).send(Method::GET, &in_query(&good), body(&good)).await, "header"),
        (app.browser().plain().send(Method::GET, &in_query(&good), body(&bad)).await, "body"),
        (app.browser().plain().send(Method::GET, ME, body("")).await, "body"),
        (browser.get(&in_query(&bad)).await, "query"),
    ];
    for (answer, place) in refusals {
        let problem = answer.expect_problem(401, INVALID);
        assert!(problem["detail"].as_str().unwrap().contains(place), "{problem}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"), "{place}");
    }
    program(&app, &good).send(Method::GET, &in_query(&bad), body(&bad)).await.expect(200);
    app.browser().plain().send(Method::GET, &in_query(&bad), body(&good)).await.expect(200);
}

/// D06, W40, T-KEY-02: a key in the query is refused unless an admin of the organization allows it; then it works, is said to
/// be deprecated, and audited once a day; the organization can refuse it again. No log has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_query_is_deprecated_audited_and_can_be_refused() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (id, key) = key_of(&app, &browser).await;
    let path = format!("{ME}?personal_api_key={key}");
    let nobody = app.browser().plain();
    let capture = harness::log::Capture::start();
    nobody.get(&path).await.expect_problem(403, "api_key_in_query_not_allowed");
    program(&app, &key).get(ME).await.expect(200);
    allow_queries(&app, &browser, ADA).await;
    for _ in 0..3 {
        let answer = nobody.get(&path).await.expect(200);
        assert!(answer.header("deprecation").is_some_and(|date| date.starts_with('@')), "{:?}", answer.headers);
    }
    assert!(program(&app, &key).get(ME).await.expect(200).header("deprecation").is_none());
    let rows = audited(&app, "api_keys.use_in_query").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["api_key_id"], id.as_str());
    app.advance(Duration::from_secs(86_401));
    nobody.get(&path).await.expect(200);
    assert_eq!(audited(&app, "api_keys.use_in_query").await.len(), 2);
    app.execute("UPDATE organizations SET allows_query_api_keys = FALSE").await;
    nobody.get(&path).await.expect_problem(403, "api_key_in_query_not_allowed");
    program(&app, &key).get(ME).await.expect(200);
    browser.post(&format!("{ME}/reauthenticate"), json!({ "password": PASSWORD })).await.expect(200);
    allow_queries(&app, &browser, ADA).await;
    nobody.get(&path).await.expect(200);
    // Nobody allows it for who is in no organization.
    app.execute("DELETE FROM organization_members").await;
    nobody.get(&path).await.expect_problem(403, "api_key_in_query_not_allowed");
    program(&app, &key).get(ME).await.expect(200);
    let log = capture.text();
    assert!(log.contains(ME) && !log.contains(&key[4..30]), "{log}");
}

/// D07: the scheme is `bearer` in any case.
#[tokio::test(flavor = "multi_thread")]
async fn the_scheme_is_not_case_sensitive() {
    let app = TestApp::new().await;
    let (_, key) = key_of(&app, &signed_in(&app, ADA).await).await;
    for scheme in ["bearer", "BEARER", "Bearer", "bEaReR"] {
        app.browser().plain().header("authorization", &format!("{scheme} {key}")).get(ME).await.expect(200);
    }
    app.browser().plain().header("authorization", &format!("Basic {key}")).get(ME).await.expect(401);
}

/// D10, W12: garbage is refused by its form, without a query: also when the database is gone.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_refused_without_the_database() {
    let app = TestApp::new().await;
    app.execute("DROP TABLE api_keys").await;
    app.execute("ALTER TABLE generations RENAME TO elsewhere").await;
    let sound = key_format::mint("gpx_").expose().clone();
    let mut altered = sound.clone();
    altered.replace_range(10..11, if &sound[10..11] == "a" { "b" } else { "a" });
    for garbage in [altered, "gpx_".to_owned(), format!("gpx_{}", "A".repeat(50)), format!("gpx_{}", "x".repeat(5000))]
    {
        program(&app, &garbage).get(ME).await.expect_problem(401, INVALID);
    }
    // What has the form is looked for.
    program(&app, &sound).get(ME).await.expect_problem(500, "internal_error");
    app.forget_jobs();
    app.execute("ALTER TABLE elsewhere RENAME TO generations").await;
}

/// D12, D13: writing includes reading; what a key lacks is named; operations without a scope refuse all keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_good_for_its_scopes_only() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    for scopes in [&["user:read"][..], &["user:write"], &["*"], &["event:read", "user:read"]] {
        let key = text(&made(&browser, scopes).await, "value");
        program(&app, &key).get(ME).await.expect(200);
    }
    let key = text(&made(&browser, &["project:write"]).await, "value");
    app.drain().await;
    let refused = program(&app, &key).get(ME).await.expect_problem(403, "missing_scope");
    assert!(refused["detail"].as_str().unwrap().contains("user:read"), "{refused}");
    let all = text(&made(&browser, &["*"]).await, "value");
    app.drain().await;
    for path in ["/api/users/@me/sessions", "/api/users/@me/two_factor", "/api/jobs"] {
        let refused = program(&app, &all).get(path).await.expect_problem(403, "api_key_not_accepted");
        assert!(refused["detail"].as_str().unwrap().contains('`'), "{refused}");
    }
}

/// D13, O12: a body that carries a key is still the operation's, and a key needs no origin.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_with_a_key_is_still_the_operations() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (_, key) = key_of(&app, &browser).await;
    let body = json!({ "personal_api_key": key, "first_name": "Ada" });
    app.browser().plain().patch(ME, body).await.expect_problem(403, "api_key_not_accepted");
    browser.patch(ME, json!({ "first_name": "personal_api_key" })).await.expect(200);
    assert_eq!(browser.get(ME).await.json()["first_name"], "personal_api_key");
}

/// D16: a hundred uses within the hour, through two gateways at once, are one write.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_use_is_written_once_an_hour() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (id, key) = key_of(&app, &browser).await;
    app.execute("CREATE TABLE writes (n integer)").await;
    if app.kernel.db.is_postgres() {
        app.execute(
            "CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS
                     $$ BEGIN INSERT INTO writes VALUES (1); RETURN NULL; END $$",
        )
        .await;
        app.execute(
            "CREATE TRIGGER counting AFTER UPDATE OF used_at ON api_keys FOR EACH ROW EXECUTE FUNCTION counted()",
        )
        .await;
    } else {
        app.execute(
            "CREATE TRIGGER counting AFTER UPDATE OF used_at ON api_keys BEGIN INSERT INTO writes VALUES (1); END",
        )
        .await;
    }
    let other = app.another_gateway().await;
    let use_it = async || {
        let callers: Vec<_> = (0..100)
            .map(|number| {
                let caller = program(&app, &key);
                if number % 2 == 0 { caller.through(&other) } else { caller }
            })
            .collect();
        for answer in join_all(callers.iter().map(|caller| caller.get(ME))).await {
            answer.expect(200);
        }
    };
    let writes = async || app.number("SELECT COUNT(*) AS number FROM writes").await;
    use_it().await;
    use_it().await;
    assert_eq!(writes().await, 1);
    let first = browser.get(&format!("{KEYS}/{id}")).await.json()["last_used_at"].clone();
    assert!(first.is_string());
    app.advance(Duration::from_secs(3601));
    use_it().await;
    assert_eq!(writes().await, 2);
    assert_ne!(browser.get(&format!("{KEYS}/{id}")).await.json()["last_used_at"], first);
}

/// D28: a key can be asked what it is, whatever its scopes.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_knows_what_it_is() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let created = made(&browser, &["event:read"]).await;
    app.drain().await;
    let current = program(&app, &text(&created, "value")).get(CURRENT).await.expect(200).json();
    for member in ["id", "label", "mask", "scopes", "created_at"] {
        assert_eq!(current[member], created[member], "{member}");
    }
    assert_eq!(current["status"], "active");
    browser.get(CURRENT).await.expect_problem(404, "api_key_not_found");
}

/// D06: no line of the log has the key, wherever in the request it stood.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_in_no_log() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (_, key) = key_of(&app, &browser).await;
    allow_queries(&app, &browser, ADA).await;
    let capture = harness::log::Capture::start();
    let nobody = app.browser().plain();
    nobody.get(&format!("{CURRENT}?personal_api_key={key}")).await.expect(200);
    nobody.send(Method::GET, CURRENT, Some((FORM, format!("personal_api_key={key}")))).await.expect(200);
    program(&app, &key).get(CURRENT).await.expect(200);
    let log = capture.text();
    assert!(log.contains(CURRENT), "{log}");
    let found: Vec<_> = log.lines().filter(|line| line.contains(&key[4..30])).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// O08: a key, whatever its scopes, neither lists nor ends sessions, its own user's or others'; the session of another user
/// is not found.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_not_for_keys() {
    const SESSIONS: &str = "/api/users/@me/sessions";
    let app = TestApp::new().await;
    let (ada, bob) = (signed_in(&app, ADA).await, signed_in(&app, BOB).await);
    let (_, key) = key_of(&app, &ada).await;
    let program = program(&app, &key);
    program.get(ME).await.expect(200);
    let id_of = async |browser: &Caller<'_>| text(&browser.get(SESSIONS).await.expect(200).json()["items"][0], "id");
    let (mine, theirs) = (id_of(&ada).await, id_of(&bob).await);
    let refused = [
        program.get(SESSIONS).await,
        program.delete(&format!("{SESSIONS}/{mine}")).await,
        program.delete(&format!("{SESSIONS}/{theirs}")).await,
        program.post(&format!("{SESSIONS}/revoke_others"), json!({})).await,
    ];
    for answer in refused {
        answer.expect_problem(403, "api_key_not_accepted");
    }
    ada.delete(&format!("{SESSIONS}/{theirs}")).await.expect_problem(404, "session_not_found");
    for browser in [&ada, &bob] {
        browser.get(ME).await.expect(200);
        assert_eq!(browser.get(SESSIONS).await.expect(200).json()["items"].as_array().unwrap().len(), 1);
    }
}
