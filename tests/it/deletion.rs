//! Deletion: what is deleted is out of reach at once, and its rows are gone when the jobs have run.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use harness::{Caller, PASSWORD, TestApp, client};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use shared::{
    audit,
    deletion::{self, DeletionError},
    ids,
    jobs::JobState,
    orgs::{self, Role},
    projects,
};
use uuid::Uuid;

const TABLES: [&str; 4] = ["invites", "organization_members", "organizations", "projects"];

/// An organization with two projects, a member and an invite.
async fn furnished(app: &TestApp, owner: &Caller<'_>) -> (String, Vec<Value>) {
    let made = owner.post("/api/organizations", json!({ "name": "Acme" })).await.expect(200).json();
    let id = made["id"].as_str().expect("an id").to_owned();
    let mut projects = Vec::new();
    for name in ["Site", "App"] {
        let body = json!({ "organization_id": id, "name": name });
        projects.push(owner.post("/api/projects", body).await.expect(200).json());
    }
    let invite = json!({ "email": "new@example.com", "role": "member" });
    owner.post(&format!("/api/organizations/{id}/invites"), invite).await.expect(200);
    app.drain().await;
    (id, projects)
}

/// Lets the time pass after which what was deleted is removed, and processes the jobs.
async fn settle(app: &TestApp) {
    app.advance(Duration::from_secs(120));
    app.drain().await;
}

async fn rows(app: &TestApp) -> BTreeMap<String, i64> {
    let mut counts = app.row_counts().await;
    counts.retain(|table, _| TABLES.contains(&table.as_str()));
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_organization_is_out_of_reach_at_once_and_gone_after_its_jobs() {
    let app = TestApp::new().await;
    let (owner, other) = (app.member("owner@example.com").await, app.member("other@example.com").await);
    furnished(&app, &other).await;
    let before = rows(&app).await;
    let (id, projects) = furnished(&app, &owner).await;
    let path = format!("/api/organizations/{id}");
    other.delete(&path).await.expect_problem(404, "organization_not_found");
    owner.delete(&path).await.expect(204);
    owner.get(&path).await.expect_problem(404, "organization_not_found");
    owner.delete(&path).await.expect_problem(404, "organization_not_found");
    assert_eq!(owner.get("/api/organizations").await.expect(200).json()["items"], json!([]));
    assert_eq!(owner.get("/api/projects").await.expect(200).json()["items"], json!([]));
    for project in &projects {
        let path = format!("/api/projects/{}", project["id"].as_str().expect("an id"));
        owner.get(&path).await.expect_problem(404, "project_not_found");
        let token = project["token"].as_str().expect("a token");
        assert_eq!(projects::find_by_token(app.kernel.db.reader(), token).await.expect("projects"), None);
    }
    assert_eq!(app.count_jobs("deletion.purge_project", JobState::Queued).await, 2);
    settle(&app).await;
    assert_eq!(rows(&app).await, before);
    // What happened stays on record.
    let trail = audit::list(app.kernel.db.reader(), "orgs.delete", 10).await.expect("the trail");
    let trail: Vec<_> = trail.into_iter().filter(|row| row.outcome == "success").collect();
    assert_eq!(trail.len(), 1);
    assert_eq!(trail[0].organization_id.map(|id| id.to_string()), Some(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_without_projects_is_gone_at_once() {
    let app = TestApp::new().await;
    let owner = app.member("owner@example.com").await;
    let made = owner.post("/api/organizations", json!({ "name": "Empty" })).await.expect(200).json();
    owner.delete(&format!("/api/organizations/{}", made["id"].as_str().expect("an id"))).await.expect(204);
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM organizations").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_to_a_deleted_organization_opens_nothing() {
    let app = TestApp::new().await;
    let owner = app.member("owner@example.com").await;
    let (id, _) = furnished(&app, &owner).await;
    let page = owner.get(&format!("/api/organizations/{id}/invites")).await.expect(200).json();
    let invite = format!("/api/invites/{}", page["items"][0]["id"].as_str().expect("an id"));
    owner.delete(&format!("/api/organizations/{id}")).await.expect(204);
    let newcomer = app.member("new@example.com").await;
    newcomer.get(&invite).await.expect_problem(400, "invalid_invite");
    newcomer.post(&format!("{invite}/accept"), json!({})).await.expect_problem(400, "invalid_invite");
    settle(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_deleted_project_nothing_is_left_and_its_organization_stays() {
    let app = TestApp::new().await;
    let owner = app.member("owner@example.com").await;
    let (id, projects) = furnished(&app, &owner).await;
    let path = format!("/api/projects/{}", projects[0]["id"].as_str().expect("an id"));
    let answers = join_all((0..5).map(|_| owner.delete(&path))).await;
    let done = answers.iter().filter(|answer| answer.status == 204).count();
    assert_eq!(done, 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    owner.get(&path).await.expect_problem(404, "project_not_found");
    settle(&app).await;
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM projects").await, 1);
    owner.get(&format!("/api/organizations/{id}")).await.expect(200);
    // Also when it was the last one.
    owner.delete(&format!("/api/projects/{}", projects[1]["id"].as_str().expect("an id"))).await.expect(204);
    settle(&app).await;
    owner.get(&format!("/api/organizations/{id}")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_leaves_nothing_but_the_trail() {
    let app = TestApp::new().await;
    // The first one owns the first organization.
    app.browser().sign_up_verified("first@example.com").await;
    let browser = app.browser();
    browser.sign_up_verified("zaphod@example.com").await;
    browser.log_in("zaphod@example.com", PASSWORD).await;
    let user = app.user("zaphod@example.com").await;
    browser.get("/api/users/@me").await.expect(200);
    deletion::delete_user(&app.kernel, Some(&client()), user.id).await.expect("deleted");
    browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    let login = json!({ "email": "zaphod@example.com", "password": PASSWORD });
    app.browser().post("/api/login", login).await.expect_problem(401, "invalid_credentials");
    let dump = app.dump().await;
    assert!(!dump.contains("zaphod@example.com"), "the address is still there");
    let trail = audit::list(app.kernel.db.reader(), "users.delete", 10).await.expect("the trail");
    assert_eq!((trail.len(), trail[0].user_id), (1, Some(user.id.0)));
    let again = deletion::delete_user(&app.kernel, None, user.id).await;
    assert!(matches!(again, Err(DeletionError::NoUser)), "{again:?}");
    // The address is free again.
    app.browser().sign_up_verified("zaphod@example.com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_owner_of_an_organization_is_not_deleted() {
    let app = TestApp::new().await;
    let (owner, heir) = (app.member("owner@example.com").await, app.member("heir@example.com").await);
    let (id, _) = furnished(&app, &owner).await;
    let (owner_id, heir_id) = (app.user("owner@example.com").await.id, app.user("heir@example.com").await.id);
    let refused = deletion::delete_user(&app.kernel, None, owner_id).await;
    assert!(matches!(&refused, Err(DeletionError::LastOwner(names)) if names == &["Acme"]), "{refused:?}");
    owner.get("/api/users/@me").await.expect(200);
    let trail = audit::list(app.kernel.db.reader(), "users.delete", 10).await.expect("the trail");
    assert_eq!(trail[0].outcome, "failure");

    let tx = app.kernel.db.write_tx().await.expect("a transaction");
    orgs::join(&tx, id.parse().expect("an id"), (heir_id, Role::Owner), app.now()).await.expect("a member");
    tx.commit().await.expect("a commit");
    // Both at once: one of them stays.
    let both = join_all([owner_id, heir_id].map(|user_id| deletion::delete_user(&app.kernel, None, user_id))).await;
    let refused = both.iter().filter(|outcome| matches!(outcome, Err(DeletionError::LastOwner(_)))).count();
    assert_eq!((both.iter().filter(|outcome| outcome.is_ok()).count(), refused), (1, 1), "{both:?}");
    let path = format!("/api/organizations/{id}");
    let answers = [owner.get(&path).await.status, heir.get(&path).await.status];
    assert!(answers.contains(&200) && answers.contains(&401), "{answers:?}");
    settle(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_project_captured_goes_batch_by_batch() {
    const EVENTS: i64 = 5_100;
    let app = TestApp::new().await;
    let owner = app.member("owner@example.com").await;
    let (_, projects) = furnished(&app, &owner).await;
    let id = |index: usize| projects[index]["id"].as_str().expect("an id").parse::<Uuid>().expect("an id");
    let tx = app.kernel.db.write_tx().await.expect("a transaction");
    for (project_id, count) in [(id(0), EVENTS), (id(1), 3)] {
        for _ in 0..count {
            let sql =
                "INSERT INTO events (project_id, uuid, event, distinct_id, at, received_at, is_personless, properties)
                       VALUES ($1, $2, 'seen', 'somebody', 1, 1, FALSE, '{}')";
            let values = [project_id.into(), ids::next().into()];
            tx.execute_raw(Statement::from_sql_and_values(app.kernel.db.engine(), sql, values)).await.expect("a row");
        }
    }
    tx.commit().await.expect("a commit");
    owner.delete(&format!("/api/projects/{}", id(0))).await.expect(204);
    settle(&app).await;
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM events").await, 3);
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM projects").await, 1);
    assert_eq!(
        app.count_jobs("deletion.purge_project", JobState::Done).await,
        2,
        "a full batch is followed by another"
    );
}
