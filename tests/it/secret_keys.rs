//! Secret keys of projects: making and presenting them, and what they are good for.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use harness::{Caller, PASSWORD, Settings, TestApp};
use poem::http::Method;
use serde_json::{Value, json};
use shared::{
    audit, key_format,
    orgs::{self, OrgId, Permission},
    projects::{self, ProjectError, ProjectId},
    secret_keys,
};

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@lovelace.test";
const ME: &str = "/api/users/@me";

async fn signed_in<'a>(app: &'a TestApp, email: &str) -> Caller<'a> {
    let browser = app.browser();
    browser.sign_up_verified(email).await;
    browser.log_in(email, PASSWORD).await;
    browser
}

/// The organization and project that the first user got.
async fn home(app: &TestApp) -> (OrgId, ProjectId) {
    let db = app.kernel.db.reader();
    let org = orgs::list_of_user(db, app.user(ADA).await.id).await.unwrap()[0].0.id;
    (org, projects::list_of_organizations(db, &[org]).await.unwrap()[0].id)
}

fn path(project: ProjectId) -> String {
    format!("/api/projects/{project}/secret_keys")
}

async fn made(browser: &Caller<'_>, project: ProjectId, label: &str) -> Value {
    browser.post(&path(project), json!({ "label": label, "scopes": ["person:write"] })).await.expect(201).json()
}

fn value(created: &Value) -> String {
    created["value"].as_str().unwrap().to_owned()
}

fn sql(app: &TestApp, id: uuid::Uuid) -> String {
    if app.kernel.db.is_postgres() { format!("'{id}'") } else { format!("X'{}'", id.simple()) }
}

/// E01, E02, E06: a key authenticates in header and body and never in the query; it has no user; what is no secret key of
/// ours is unknown, and a personal key is not tried as one.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_key_is_taken_from_header_and_body_only() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (_, project) = home(&app).await;
    let key = value(&made(&browser, project, "server").await);
    assert!(key_format::is_sound("gps_", &key));
    let nobody = app.browser().plain();
    let in_body = |key: &str| Some(("application/json", json!({ "secret_api_key": key }).to_string()));
    // Known, and without a user.
    app.browser().plain().bearer(&key).get(ME).await.expect_problem(403, "user_required");
    nobody.send(Method::GET, ME, in_body(&key)).await.expect_problem(403, "user_required");
    let form = Some(("application/x-www-form-urlencoded", format!("secret_api_key={key}")));
    nobody.send(Method::GET, ME, form).await.expect_problem(403, "user_required");
    let refused = nobody.get(&format!("{ME}?secret_api_key={key}")).await.expect_problem(401, "invalid_secret_key");
    assert!(refused["detail"].as_str().unwrap().contains("query"), "{refused}");
    let personal = browser.post("/api/users/@me/api_keys", json!({ "label": "x", "scopes": ["*"] })).await.expect(201);
    app.drain().await;
    let personal = value(&personal.json());
    let unknown = key_format::mint("gps_").expose().clone();
    for other in [&personal, &unknown, "gps_x", ""] {
        nobody.send(Method::GET, ME, in_body(other)).await.expect_problem(401, "invalid_secret_key");
    }
    app.browser().plain().bearer(&unknown).get(ME).await.expect_problem(401, "invalid_secret_key");
    for session_only in ["/api/users/@me/sessions", "/api/jobs", &path(project)] {
        let refused = app.browser().plain().bearer(&key).get(session_only).await;
        refused.expect_problem(403, "api_key_not_accepted");
    }
}

/// E02: a key passes the gate of its project as a member does, and no other gate.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_key_passes_the_gate_of_its_project_only() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (org, project) = home(&app).await;
    let tx = app.kernel.db.write_tx().await.unwrap();
    let sibling = projects::create(&tx, org, "Sibling", app.now()).await.unwrap();
    tx.commit().await.unwrap();
    let key = value(&made(&browser, project, "server").await);
    let cache = secret_keys::SecretKeyCache::default();
    let actor = secret_keys::authenticate(&app.kernel, &cache, 1, &key).await.unwrap().actor();
    let db = app.kernel.db.reader();
    let gate = async |id, permission| projects::require(db, &actor, id, permission).await.map(|_| ());
    assert!(gate(project, Permission::ReadPersons).await.is_ok());
    assert!(matches!(gate(project, Permission::ManageProjects).await, Err(ProjectError::Organization(_))));
    assert!(matches!(gate(sibling, Permission::View).await, Err(ProjectError::NotFound)));
    assert!(orgs::require(db, &actor, org, Permission::View).await.is_err());
    assert!(secret_keys::verify(db, project, &key).await.unwrap().is_some());
    assert!(secret_keys::verify(db, sibling, &key).await.unwrap().is_none());
    assert!(secret_keys::verify(db, project, "gps_x").await.unwrap().is_none());
}

/// E03: the list of scopes is closed.
#[tokio::test(flavor = "multi_thread")]
async fn other_scopes_are_refused() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (_, project) = home(&app).await;
    for scopes in [json!([]), json!(["*"]), json!(["user:read"]), json!(["project:write"]), json!(["person:read", "x"])]
    {
        let refused = browser.post(&path(project), json!({ "label": "x", "scopes": scopes })).await;
        refused.expect_problem(400, "invalid_secret_key_scope");
    }
    let all = json!({ "label": "x", "scopes": secret_keys::SCOPES });
    browser.post(&path(project), all).await.expect(201);
}

/// E04, E05, W34: a digest and a mask are stored; labels are unique in a project; the key outlives who made it.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_key_is_stored_as_a_digest_and_outlives_its_maker() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (org, project) = home(&app).await;
    let bob = signed_in(&app, BOB).await;
    let (bob_id, org_id) = (sql(&app, app.user(BOB).await.id.0), sql(&app, org.0));
    let insert = "INSERT INTO organization_members (organization_id, user_id, role, created_at)";
    app.execute(&format!("{insert} VALUES ({org_id}, {bob_id}, 'admin', 0)")).await;
    let created = made(&bob, project, "server").await;
    let key = value(&created);
    assert_eq!(created["mask"], key_format::mask(&key));
    let body = json!({ "label": "server", "scopes": ["event:read"] });
    browser.post(&path(project), body).await.expect_problem(409, "secret_key_label_taken");
    let dump = app.dump().await;
    assert!(dump.contains(&key_format::hash(&key)) && !dump.contains(&key));
    let listed = async || browser.get(&path(project)).await.expect(200);
    let before = listed().await;
    assert!(!before.text.contains(&key));
    assert_eq!(before.json()["items"][0]["created_by"], app.user(BOB).await.id.to_string());
    app.execute("DELETE FROM users WHERE email = 'bob@lovelace.test'").await;
    assert!(listed().await.json()["items"][0].get("created_by").is_none());
    app.browser().plain().bearer(&key).get(ME).await.expect_problem(403, "user_required");
}

/// E07: one key, and all keys of a project together, may be used so often.
#[tokio::test(flavor = "multi_thread")]
async fn keys_and_projects_have_rate_limits() {
    let settings = Settings::with(|config| {
        config.secret_keys.per_key.count = 3;
        config.secret_keys.per_project.count = 5;
    });
    let app = TestApp::with(settings).await;
    let browser = signed_in(&app, ADA).await;
    let (_, project) = home(&app).await;
    let (one, two) = (value(&made(&browser, project, "one").await), value(&made(&browser, project, "two").await));
    let status = async |key: &str| app.browser().plain().bearer(key).get(ME).await.status;
    for _ in 0..3 {
        assert_eq!(status(&one).await, 403);
    }
    assert_eq!(status(&one).await, 429);
    assert_eq!([status(&two).await, status(&two).await, status(&two).await], [403, 403, 429]);
    let refused = app.browser().plain().bearer(&two).get(ME).await;
    assert!(refused.header("retry-after").is_some());
    app.advance(Duration::from_secs(60));
    assert_eq!(status(&one).await, 403);
}

/// E08: only admins of the organization make, roll and delete keys, with a recent proof; all of it is audited.
#[tokio::test(flavor = "multi_thread")]
async fn admins_manage_secret_keys() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let stranger = signed_in(&app, BOB).await;
    let (org, project) = home(&app).await;
    let created = made(&browser, project, "server").await;
    let one = format!("{}/{}", path(project), created["id"].as_str().unwrap());
    let body = json!({ "label": "y", "scopes": ["event:read"] });
    let attempts = async |caller: &Caller<'_>| {
        vec![
            caller.post(&path(project), body.clone()).await,
            caller.post(&format!("{one}/roll"), json!({})).await,
            caller.delete(&one).await,
            caller.get(&path(project)).await,
        ]
    };
    for answer in attempts(&stranger).await {
        answer.expect_problem(404, "project_not_found");
    }
    let (bob_id, org_id) = (sql(&app, app.user(BOB).await.id.0), sql(&app, org.0));
    let insert = "INSERT INTO organization_members (organization_id, user_id, role, created_at)";
    app.execute(&format!("{insert} VALUES ({org_id}, {bob_id}, 'member', 0)")).await;
    for answer in attempts(&stranger).await {
        answer.expect_problem(403, "forbidden");
    }
    let rolled = browser.post(&format!("{one}/roll"), json!({})).await.expect(200).json();
    assert_eq!((&rolled["id"], &rolled["label"]), (&created["id"], &created["label"]));
    let status = async |key: &str| app.browser().plain().bearer(key).get(ME).await.status;
    assert_eq!((status(&value(&created)).await, status(&value(&rolled)).await), (401, 403));
    app.advance(Duration::from_secs(7201));
    browser.delete(&one).await.expect_problem(403, "sensitive_action_required_reauth");
    browser.post("/api/users/@me/reauthenticate", json!({ "password": PASSWORD })).await.expect(200);
    browser.delete(&one).await.expect(204);
    assert_eq!(status(&value(&rolled)).await, 401);
    browser.delete(&one).await.expect_problem(404, "secret_key_not_found");
    for action in ["secret_keys.create", "secret_keys.roll", "secret_keys.delete"] {
        let rows = audit::list(app.kernel.db.reader(), action, 10).await.unwrap();
        let (done, refused): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.outcome == "success");
        let stranger = refused.iter().find(|row| row.detail.contains("project_not_found")).unwrap();
        assert_eq!(stranger.organization_id, None, "{action}: strangers write into nobody's trail");
        let member = refused.iter().find(|row| row.detail.contains("\"forbidden\"")).unwrap();
        assert_eq!(member.organization_id, Some(org.0), "{action}");
        let rows = done;
        assert_eq!((rows.len(), rows[0].organization_id), (1, Some(org.0)), "{action}");
        assert!(rows[0].detail.contains("gps_...") && !rows[0].detail.contains(&value(&rolled)[4..]), "{action}");
    }
}

/// A leaked secret key is refused until it is rolled; those who manage the organization are told, and nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_secret_key_is_refused_until_it_is_rolled() {
    const LEAK: &str = "/api/api_keys/report_leak";
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    signed_in(&app, BOB).await;
    let (org, project) = home(&app).await;
    let (bob_id, org_id) = (sql(&app, app.user(BOB).await.id.0), sql(&app, org.0));
    let insert = "INSERT INTO organization_members (organization_id, user_id, role, created_at)";
    app.execute(&format!("{insert} VALUES ({org_id}, {bob_id}, 'member', 0)")).await;
    let created = made(&browser, project, "server").await;
    let key = value(&created);
    let status = async |key: &str| app.browser().plain().bearer(key).get(ME).await.status;
    assert_eq!(status(&key).await, 403, "known, and without a user");
    let finder = app.browser_at("192.0.2.9").plain();
    let report = async |key: &str| {
        let body = json!({ "api_key": key, "found_in": "https://pastes.test/42" });
        finder.post(LEAK, body).await.expect(200).json()["label"].as_str().unwrap().to_owned()
    };
    let unknown = key_format::mint("gps_").expose().clone();
    assert_eq!(report(&unknown).await, "false_positive");
    assert_eq!(report(&key).await, "true_positive");
    app.browser().plain().bearer(&key).get(ME).await.expect_problem(401, "invalid_secret_key");
    assert!(secret_keys::verify(app.kernel.db.reader(), project, &key).await.unwrap().is_none());
    assert_eq!(report(&key).await, "false_positive", "it is known");
    app.drain().await;
    let mails = app.mails_about(ADA, "A secret key of a project was exposed").await;
    let mask = key_format::mask(&key);
    assert_eq!(mails.len(), 1);
    assert!(mails[0].text.contains(&mask) && mails[0].text.contains("pastes"), "{}", mails[0].text);
    assert!(!mails[0].text.contains(&key[8..]));
    assert!(app.mails_about(BOB, "A secret key of a project was exposed").await.is_empty(), "a member manages nothing");
    let rows = audit::list(app.kernel.db.reader(), "secret_keys.expose", 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].organization_id, Some(org.0));
    assert!(rows[0].detail.contains(&mask) && !rows[0].detail.contains(&key[8..]), "{}", rows[0].detail);
    let shown = async || browser.get(&path(project)).await.expect(200).json()["items"][0]["status"].clone();
    assert_eq!(shown().await, "exposed");
    let roll = format!("{}/{}/roll", path(project), created["id"].as_str().unwrap());
    let rolled = browser.post(&roll, json!({})).await.expect(200).json();
    assert_eq!((status(&value(&rolled)).await, status(&key).await), (403, 401));
    assert_eq!(shown().await, "active");
}
