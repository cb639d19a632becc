//! Personal API keys: making, presenting, limiting, and their end.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "test code")]

mod expiry;
mod legacy;
mod managing;
mod policy;
mod presenting;

use harness::{Answer, Caller, PASSWORD, TestApp};
use serde_json::{Value, json};

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@lovelace.test";
const KEYS: &str = "/api/users/@me/api_keys";
const ME: &str = "/api/users/@me";
const CURRENT: &str = "/api/users/@me/api_keys/@current";
const INVALID: &str = "invalid_api_key";

async fn signed_in<'a>(app: &'a TestApp, email: &str) -> Caller<'a> {
    let browser = app.browser();
    browser.sign_up_verified(email).await;
    browser.log_in(email, PASSWORD).await;
    browser
}

async fn create(browser: &Caller<'_>, body: Value) -> Answer {
    browser.post(KEYS, body).await
}

/// A key with these scopes; the jobs stay.
async fn made(browser: &Caller<'_>, scopes: &[&str]) -> Value {
    create(browser, json!({ "label": "deploy", "scopes": scopes })).await.expect(201).json()
}

/// A key with all scopes; processes the jobs. Its id and its secret.
async fn key_of(app: &TestApp, browser: &Caller<'_>) -> (String, String) {
    let created = made(browser, &["*"]).await;
    app.drain().await;
    (text(&created, "id"), text(&created, "value"))
}

/// Lets the user's organization take keys from queries, as its admin does.
async fn allow_queries(app: &TestApp, admin: &Caller<'_>, email: &str) {
    let path = format!("/api/organizations/{}", organization(app, email).await);
    admin.patch(&path, json!({ "query_api_keys": true })).await.expect(200);
}

fn text(answer: &Value, member: &str) -> String {
    answer[member].as_str().unwrap_or_else(|| panic!("no {member} in {answer}")).to_owned()
}

/// A program that presents this key in the header.
fn program<'a>(app: &'a TestApp, key: &str) -> Caller<'a> {
    app.browser().plain().bearer(key)
}

async fn audited(app: &TestApp, action: &str) -> Vec<Value> {
    let rows = shared::audit::list(app.kernel.db.reader(), action, 100).await.unwrap();
    rows.iter().map(|row| serde_json::from_str(&row.detail).unwrap()).collect()
}

/// Id of the organization that the first user got.
async fn organization(app: &TestApp, email: &str) -> shared::orgs::OrgId {
    let user = app.user(email).await;
    shared::orgs::list_of_user(app.kernel.db.reader(), user.id).await.unwrap()[0].0.id
}

/// Adds an organization with one member.
async fn another_organization(app: &TestApp, email: &str) -> shared::orgs::OrgId {
    let user = app.user(email).await;
    let tx = app.kernel.db.write_tx().await.unwrap();
    let id = shared::orgs::create(&tx, "Other", user.id, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// An id as SQL.
fn sql(app: &TestApp, id: uuid::Uuid) -> String {
    if app.kernel.db.is_postgres() { format!("'{id}'") } else { format!("X'{}'", id.simple()) }
}

async fn set_role(app: &TestApp, org: shared::orgs::OrgId, email: &str, role: &str) {
    let (org, user) = (sql(app, org.0), sql(app, app.user(email).await.id.0));
    app.execute(&format!(
        "UPDATE organization_members SET role = '{role}' WHERE organization_id = {org} AND user_id = {user}"
    ))
    .await;
}
