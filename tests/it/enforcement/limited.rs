//! What a session that owes a second factor reaches, and how it gets on.

use std::time::Duration;

use gateway::security::enforcement::SETUP_OPERATIONS;
use harness::{Authenticator as Passkey, PASSWORD, TestApp};
use poem::http::Method;
use serde_json::{Value, json};
use shared::{
    enforcement::Shortfall,
    orgs::{self, OrgError, Permission},
    sessions as session,
};

use super::{ADA, BOB, FIRST, OTHER, PROBE, SETUP, STRICT, VERIFICATION, app, found, signed_in, step_up, with_proof};
use crate::passkey;

/// Every operation that needs a credential: method, template, a path of it, whether it takes a body.
fn protected() -> Vec<(Method, String, String, bool)> {
    let document = gateway::spec::document().unwrap();
    let mut operations = Vec::new();
    for (template, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Ok(method) = method.to_uppercase().parse() else { continue };
            if operation["security"].as_array().is_some_and(Vec::is_empty) || operation["operationId"].is_null() {
                continue;
            }
            let id = |part: &str| {
                if part.starts_with('{') { app_wide_id() } else { part.to_owned() }
            };
            let path = template.split('/').map(id).collect::<Vec<_>>().join("/");
            operations.push((method, template.clone(), path, operation.get("requestBody").is_some()));
        }
    }
    operations
}

fn app_wide_id() -> String {
    "019aa5c2-7b10-7c3e-9d41-2f6a8b0c1dff".to_owned()
}

/// L01, L03, W17: everything that is not on the list is refused, for members and for who operates the installation; the
/// list is of exact operations, and changing the user or removing a factor is not among them.
#[tokio::test(flavor = "multi_thread")]
async fn a_limited_session_reaches_the_setup_and_nothing_else() {
    let app = app().await;
    app.set_policy(FIRST, STRICT).await;
    let operations = protected();
    for (method, template) in SETUP_OPERATIONS {
        let is_real = operations.iter().any(|(known, path, ..)| known.as_str() == *method && path == template);
        assert!(is_real, "{method} {template} is on the list and does not exist");
    }
    for (email, amr) in [(BOB, ["pwd", "email"]), (ADA, ["pwd", "email"])] {
        let caller = with_proof(&app, email, &amr).await;
        for (method, template, path, takes_body) in &operations {
            if template == "/api/logout" {
                continue;
            }
            let body = takes_body.then(|| ("application/json", "{}".to_owned()));
            let answer = caller.send(method.clone(), path, body).await;
            let is_listed = SETUP_OPERATIONS.contains(&(method.as_str(), template.as_str()));
            if is_listed {
                assert_ne!(answer.status, 401, "{method} {template}: {}", answer.text);
                assert_ne!(answer.status, 403, "{method} {template}: {}", answer.text);
            } else {
                answer.expect_problem(403, SETUP);
            }
        }
        for (method, path) in [
            (Method::PATCH, "/api/users/@me"),
            (Method::PATCH, "/api/users/@me/"),
            (Method::DELETE, "/api/users/@me/two_factor/totp"),
            (Method::POST, "/api/users/@me/password"),
        ] {
            let body = Some(("application/json", json!({ "first_name": "Eve" }).to_string()));
            caller.send(method, path, body).await.expect_problem(403, SETUP);
        }
        caller.post("/api/logout", json!({})).await.expect(204);
        caller.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    }
}

/// L01, L02: from no factor to a free session: set up, then prove it in the same session.
#[tokio::test(flavor = "multi_thread")]
async fn setting_up_an_app_and_proving_it_is_the_way_out() {
    let app = app().await;
    app.set_policy(FIRST, STRICT).await;
    let browser = signed_in(&app, BOB).await;
    browser.get(PROBE).await.expect_problem(403, SETUP);
    app.advance(Duration::from_secs(3600));
    // The set-up needs a fresh proof, which a limited session can give.
    browser.post("/api/users/@me/reauthenticate", json!({ "password": PASSWORD })).await.expect(200);
    let (authenticator, _) = browser.enable_totp().await;
    let problem = browser.get(PROBE).await.expect_problem(403, VERIFICATION);
    assert!(problem["title"].as_str().unwrap().contains("second factor"), "{problem}");
    let status = browser.get("/api/users/@me/two_factor").await.expect(200).json();
    assert_eq!(status["is_enabled"], true);
    // The password alone is not what is owed.
    browser.post("/api/users/@me/reauthenticate", json!({ "password": PASSWORD })).await.expect(200);
    browser.get(PROBE).await.expect_problem(403, VERIFICATION);
    step_up(&app, &browser, &authenticator).await.expect(200);
    browser.get(PROBE).await.expect(200);
    browser.patch("/api/users/@me", json!({ "first_name": "Bob" })).await.expect(200);
}

/// L01, L02: a passkey is set up within the limits too; signing in with it is free.
#[tokio::test(flavor = "multi_thread")]
async fn setting_up_a_passkey_and_signing_in_with_it_is_a_way_out() {
    let app = app().await;
    app.set_policy(FIRST, STRICT).await;
    let browser = signed_in(&app, BOB).await;
    let mut authenticator = Passkey::new(&app.origin());
    passkey::add(&app, &browser, &mut authenticator).await;
    browser.get(PROBE).await.expect_problem(403, VERIFICATION);
    passkey::try_passkey(&browser, &mut authenticator).await.expect(200);
    browser.get(PROBE).await.expect(200);
    app.drain().await;
}

/// L06, W17: whichever organization demands it, the session is limited everywhere; leaving it, or the end of the demand,
/// frees it at once.
#[tokio::test(flavor = "multi_thread")]
async fn any_organization_of_the_user_counts() {
    let app = app().await;
    let browser = signed_in(&app, BOB).await;
    browser.get(PROBE).await.expect(200);
    found(&app, ADA).await;
    app.set_policy(OTHER, STRICT).await;
    browser.get(PROBE).await.expect(200);
    app.join(OTHER, BOB, "member").await;
    browser.get(PROBE).await.expect_problem(403, SETUP);
    app.set_policy(OTHER, "enforces_two_factor = FALSE").await;
    browser.get(PROBE).await.expect(200);
    app.set_policy(OTHER, STRICT).await;
    browser.get(PROBE).await.expect_problem(403, SETUP);
    let user = app.user(BOB).await;
    app.execute(&format!(
        "DELETE FROM organization_members WHERE role = 'member' AND organization_id IN
         (SELECT id FROM organizations WHERE name = '{OTHER}')"
    ))
    .await;
    assert_eq!(orgs::of_user(app.kernel.db.reader(), user.id).await.unwrap().len(), 1);
    browser.get(PROBE).await.expect(200);
}

/// L06: the gate of each organization asks by itself, whatever the route let through.
#[tokio::test(flavor = "multi_thread")]
async fn the_gate_of_an_organization_asks_for_its_own_demand() {
    let app = app().await;
    let other = found(&app, BOB).await;
    app.set_policy(FIRST, STRICT).await;
    let db = app.kernel.db.reader();
    let user = app.user(BOB).await;
    let organizations = orgs::list_of_user(db, user.id).await.unwrap();
    let first = organizations.iter().find(|(row, _)| row.name == FIRST).unwrap().0.id;
    let caches = session::SessionCache::default();
    let opened = with_token(&app, &["pwd", "email"]).await;
    let principal = session::authenticate(&app.kernel, &caches, &opened).await.unwrap();
    assert_eq!(principal.shortfall(), Some(Shortfall::Setup));
    orgs::require(db, &principal.actor(), other, Permission::Delete).await.unwrap();
    let refused = orgs::require(db, &principal.actor(), first, Permission::View).await.unwrap_err();
    assert!(matches!(refused, OrgError::SecondFactor(Shortfall::Setup)), "{refused}");
    // Not before membership: nobody learns what an organization demands that they do not belong to.
    let stranger = orgs::require(db, &principal.actor(), orgs::OrgId::next(), Permission::View).await.unwrap_err();
    assert!(matches!(stranger, OrgError::NotFound), "{stranger}");
    assert!(!principal.has_factor);
}

/// The token of a fresh session of Bob's.
async fn with_token(app: &TestApp, amr: &[&'static str]) -> String {
    let user = app.user(BOB).await;
    let client = shared::client::Client {
        ip: "203.0.113.7".parse().unwrap(),
        user_agent: None,
        request_id: shared::ids::next(),
        traceparent: None,
    };
    let tx = app.kernel.db.write_tx().await.unwrap();
    let proof = session::Proof::of(amr.to_vec());
    let opened = session::open(&app.kernel, &tx, &client, &user, proof).await.unwrap();
    tx.commit().await.unwrap();
    opened.session_token.expose().clone()
}

/// L01: it holds on every gateway at once, without a cache that could be older than the demand.
#[tokio::test(flavor = "multi_thread")]
async fn a_demand_holds_on_every_gateway_at_once() {
    let app = app().await;
    let token = with_token(&app, &["pwd", "email"]).await;
    let other = app.another_gateway().await;
    let (here, there) = (app.browser().bearer(&token), app.browser().bearer(&token).through(&other));
    for _ in 0..5 {
        for caller in [&here, &there] {
            caller.get(PROBE).await.expect(200);
        }
        app.set_policy(FIRST, STRICT).await;
        for caller in [&there, &here] {
            caller.get(PROBE).await.expect_problem(403, SETUP);
        }
        app.set_policy(FIRST, "enforces_two_factor = FALSE").await;
    }
}

/// T-MAIL-05: the same mailbox twice is no second factor, even where a mailed code counts; a later login is judged anew,
/// and whoever has an app still needs it.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailed_code_right_after_a_mailed_reset_is_no_second_factor() {
    let app = app().await;
    app.set_policy(FIRST, "enforces_two_factor = TRUE, allows_email_mfa = TRUE").await;
    let amr = |login: Value| login["session"]["amr"].clone();
    let browser = app.browser();
    assert_eq!(amr(browser.log_in(BOB, PASSWORD).await), json!(["pwd", "email"]));
    browser.get(PROBE).await.expect(200);
    reset(&app, BOB).await;
    let after = app.browser();
    assert_eq!(amr(after.log_in(BOB, PASSWORD).await), json!(["email"]));
    after.get(PROBE).await.expect_problem(403, SETUP);
    // Signing in again on that session proves nothing more.
    after.post("/api/login", json!({ "email": BOB, "password": PASSWORD })).await.expect(200);
    after.get(PROBE).await.expect_problem(403, SETUP);
    app.advance(Duration::from_secs(86_401));
    let later = app.browser();
    assert_eq!(amr(later.log_in(BOB, PASSWORD).await), json!(["pwd", "email"]));
    later.get(PROBE).await.expect(200);
    later.enable_totp().await;
    reset(&app, BOB).await;
    app.browser().begin_two_factor(BOB).await;
}

/// Resets the password by mail, to the same one.
async fn reset(app: &TestApp, email: &str) {
    app.browser().post("/api/reset", json!({ "email": email })).await.expect(204);
    app.drain().await;
    let mails = app.mails().await;
    let mail = mails.iter().find(|mail| mail.to == email && mail.text.contains("/reset?token=")).unwrap();
    let body = json!({ "token": harness::token_in(&mail.text), "password": PASSWORD });
    app.browser().post("/api/reset/complete", body).await.expect(200);
    app.drain().await;
}
