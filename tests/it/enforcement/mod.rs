//! What organizations demand of their members: a second factor, young sessions, and no more trust than they allow.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod devices;
mod factors;
mod limited;
mod matrix;
mod notices;
mod sessions;

use harness::{Answer, Caller, PASSWORD, TestApp, totp::Authenticator};
use serde_json::json;
use shared::{
    ids, orgs,
    sessions::{self as session, Proof},
};

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@byron.test";
/// What the organization of the first user is called.
const FIRST: &str = "My organization";
/// What [`found`] calls its organizations.
const OTHER: &str = "Analytical Engines";
const STRICT: &str = "enforces_two_factor = TRUE, allows_email_mfa = FALSE, trusts_idp_mfa = FALSE";
/// An operation that a session which is limited to the set-up does not reach.
const PROBE: &str = "/api/users/@me/sessions";
const SETUP: &str = "two_factor_setup_required";
const VERIFICATION: &str = "two_factor_verification_required";

/// An application where Ada owns an organization and Bob is a member of it.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    for email in [ADA, BOB] {
        app.browser().sign_up_verified(email).await;
    }
    app.join(FIRST, BOB, "member").await;
    app
}

/// Founds a further organization of a user.
async fn found(app: &TestApp, owner: &str) -> orgs::OrgId {
    let owner = app.user(owner).await;
    let tx = app.kernel.db.write_tx().await.unwrap();
    let id = orgs::create(&tx, OTHER, owner.id, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// A browser whose user is signed in with password and mailed code.
async fn signed_in<'a>(app: &'a TestApp, email: &str) -> Caller<'a> {
    let browser = app.browser();
    browser.log_in(email, PASSWORD).await;
    browser
}

/// A program that holds a session with this proof, as another way of signing in would open it.
async fn with_proof<'a>(app: &'a TestApp, email: &str, amr: &[&'static str]) -> Caller<'a> {
    let user = app.user(email).await;
    let client = shared::client::Client {
        ip: "203.0.113.7".parse().unwrap(),
        user_agent: None,
        request_id: ids::next(),
        traceparent: None,
    };
    let tx = app.kernel.db.write_tx().await.unwrap();
    let opened = session::open(&app.kernel, &tx, &client, &user, Proof::of(amr.to_vec())).await.unwrap();
    tx.commit().await.unwrap();
    app.browser().bearer(opened.session_token.expose())
}

/// Proves the second factor in a live session.
async fn step_up(app: &TestApp, browser: &Caller<'_>, authenticator: &Authenticator) -> Answer {
    let code = authenticator.code(app.now());
    browser.post("/api/users/@me/reauthenticate", json!({ "code": code })).await
}
