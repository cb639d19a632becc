//! Projects: the API, and the token that clients send with their events.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

use harness::{Caller, Settings, TestApp};
use serde_json::{Value, json};
use shared::{
    orgs::{self, Role},
    projects,
};

async fn organization(owner: &Caller<'_>, name: &str) -> String {
    let made = owner.post("/api/organizations", json!({ "name": name })).await.expect(200).json();
    made["id"].as_str().expect("an id").to_owned()
}

async fn project(owner: &Caller<'_>, org_id: &str, name: &str) -> Value {
    owner.post("/api/projects", json!({ "organization_id": org_id, "name": name })).await.expect(200).json()
}

async fn names(caller: &Caller<'_>, query: &str) -> Vec<String> {
    let page = caller.get(&format!("/api/projects/{query}")).await.expect(200).json();
    let items = page["items"].as_array().expect("items");
    items.iter().map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
}

async fn project_of_token(app: &TestApp, token: &str) -> Option<String> {
    let found = projects::find_by_token(app.kernel.db.reader(), token).await.expect("projects");
    found.map(|project| project.name)
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_are_created_listed_renamed_and_shown() {
    let app = TestApp::new().await;
    let (owner, other) = (app.member("owner@example.com").await, app.member("other@example.com").await);
    let (first, second) = (organization(&owner, "First").await, organization(&owner, "Second").await);
    let foreign = organization(&other, "Foreign").await;
    let site = project(&owner, &first, " Site ").await;
    assert_eq!((&site["name"], &site["organization_id"]), (&json!("Site"), &json!(first)));
    let token = site["token"].as_str().expect("a token");
    assert!(token.starts_with("gpc_") && token.len() == 47, "{token}");
    assert_eq!(project_of_token(&app, token).await.as_deref(), Some("Site"));
    project(&owner, &second, "App").await;
    // Names need not be unique.
    project(&owner, &second, "App").await;
    project(&other, &foreign, "Hidden").await;

    assert_eq!(names(&owner, "").await, ["Site", "App", "App"]);
    assert_eq!(names(&owner, &format!("?organization_id={second}")).await, ["App", "App"]);
    assert_eq!(names(&other, "").await, ["Hidden"]);
    owner.get(&format!("/api/projects?organization_id={foreign}")).await.expect_problem(404, "organization_not_found");
    let page = owner.get("/api/projects?limit=2").await.expect(200).json();
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    assert_eq!(names(&owner, &format!("?limit=2&cursor={cursor}")).await, ["App"]);

    let path = format!("/api/projects/{}", site["id"].as_str().expect("an id"));
    let renamed = owner.patch(&path, json!({ "name": "Shop" })).await.expect(200).json();
    assert_eq!((&renamed["name"], &renamed["token"]), (&json!("Shop"), &site["token"]));
    assert_eq!(owner.get(&path).await.expect(200).json(), renamed);
    let stolen = json!({ "name": "x", "organization_id": foreign });
    owner.patch(&path, stolen).await.expect_problem(422, "validation_failed");
    owner.patch(&path, json!({ "name": " " })).await.expect_problem(422, "validation_failed");
    for answer in [other.get(&path).await, other.patch(&path, json!({ "name": "x" })).await, other.delete(&path).await]
    {
        answer.expect_problem(404, "project_not_found");
    }
    let body = json!({ "organization_id": foreign, "name": "x" });
    owner.post("/api/projects", body).await.expect_problem(404, "organization_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_sees_projects_and_manages_none() {
    let app = TestApp::new().await;
    let (owner, member) = (app.member("owner@example.com").await, app.member("member@example.com").await);
    let org_id = organization(&owner, "Acme").await;
    let site = project(&owner, &org_id, "Site").await;
    let tx = app.kernel.db.write_tx().await.expect("a transaction");
    let user = app.user("member@example.com").await;
    orgs::join(&tx, org_id.parse().expect("an id"), (user.id, Role::Member), app.now()).await.expect("a member");
    tx.commit().await.expect("a commit");
    let path = format!("/api/projects/{}", site["id"].as_str().expect("an id"));
    assert_eq!(member.get(&path).await.expect(200).json(), site);
    let body = json!({ "organization_id": org_id, "name": "x" });
    for answer in [
        member.post("/api/projects", body).await,
        member.patch(&path, json!({ "name": "x" })).await,
        member.post(&format!("{path}/roll_token"), json!({})).await,
        member.delete(&path).await,
    ] {
        answer.expect_problem(403, "forbidden");
    }
    assert_eq!(owner.get(&path).await.expect(200).json(), site);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_token_replaces_the_one_before_at_once() {
    let app = TestApp::new().await;
    let owner = app.member("owner@example.com").await;
    let org_id = organization(&owner, "Acme").await;
    let site = project(&owner, &org_id, "Site").await;
    let path = format!("/api/projects/{}/roll_token", site["id"].as_str().expect("an id"));
    let rolled = owner.post(&path, json!({})).await.expect(200).json();
    assert_ne!(rolled["token"], site["token"]);
    assert_eq!(project_of_token(&app, site["token"].as_str().expect("a token")).await, None);
    assert_eq!(project_of_token(&app, rolled["token"].as_str().expect("a token")).await.as_deref(), Some("Site"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_has_so_many_projects_and_no_more() {
    let app = TestApp::with(Settings::with(|config| config.projects.max_per_organization = 1)).await;
    let owner = app.member("owner@example.com").await;
    let org_id = organization(&owner, "Acme").await;
    project(&owner, &org_id, "Site").await;
    let body = json!({ "organization_id": org_id, "name": "Second" });
    owner.post("/api/projects", body).await.expect_problem(409, "limit_reached");
}
