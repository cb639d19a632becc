//! What is refused leaves a row of its own, whatever the operation.

use std::time::Duration;

use gateway::{security::enforcement::SETUP_OPERATIONS, spec};
use harness::{Authenticator, Caller, PASSWORD, TestApp, code_in};
use serde_json::{Value, json};
use shared::{ids, orgs::Role};

use super::coverage::{Trail, changing, expect_masked, rows};
use crate::{
    authorization::{self, Cast, World, demand_two_factor},
    passkey,
};

const ADA: &str = "ada@lovelace.test";
const ME: &str = "/api/users/@me";
const WRONG: &str = "seven-lamps-below-water";

/// every operation that changes something audits its refusals, as the table says, with the caller and without secrets
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_audits_its_refusals() {
    let app = authorization::app().await;
    let mut trail = Trail::of(&app, "failure");
    refuse_the_limited(&app, &mut trail).await;
    refuse_the_signed_in(&app, &mut trail).await;
    refuse_anybody(&app, &mut trail).await;
    refuse_second_factors(&app, &mut trail).await;
    trail.expect_all();
    expect_masked(&app, &[WRONG.to_owned()]).await;
    app.forget_jobs();
}

/// Who owes a second factor is refused everything but the set-up; ids that nothing has are refused to everybody.
async fn refuse_the_limited(app: &TestApp, trail: &mut Trail<'_>) {
    let cast = Cast::of(app).await;
    let document = spec::document().expect("the document");
    for operation in changing().iter().filter(|operation| !operation.is_public) {
        let world = World::create(app, &cast.owner, &[(&cast.newcomer, Role::Member)], &cast.target).await;
        let owner = cast.credential(app, "owner", &world).await.expect("a token");
        if let Some(name) = operation.parameters().last().copied().filter(|name| *name != "job_id") {
            let caller = app.browser().bearer(&owner);
            let answer = operation.call(&document, &caller, &world.with(name, None)).await;
            assert!(matches!(answer.status, 400 | 404), "{}: {}", operation.id, answer.text);
            trail.expect(&operation.id, &answer).await;
        }
        if SETUP_OPERATIONS.contains(&(operation.method.as_str(), operation.template.as_str())) {
            continue;
        }
        demand_two_factor(app, &world, true).await;
        let token = cast.credential(app, "setup_only", &world).await.expect("a token");
        let answer = operation.call(&document, &app.browser().bearer(&token), &world).await;
        answer.expect_problem(403, "two_factor_setup_required");
        trail.expect(&operation.id, &answer).await;
        refuse_an_odd_path(app, trail, &token).await;
        demand_two_factor(app, &world, false).await;
        let found = rows(app, &answer).await;
        assert_eq!(found.len(), 1, "{}: {found:?}", operation.id);
        assert!(found[0].2.contains("two_factor_setup_required"), "{}: {found:?}", operation.id);
    }
}

/// In the place of an id may stand what must not be in the trail.
async fn refuse_an_odd_path(app: &TestApp, trail: &mut Trail<'_>, setup_only: &str) {
    let odd = app.browser().bearer(setup_only).delete(&format!("{ME}/api_keys/{WRONG}")).await;
    odd.expect_problem(403, "two_factor_setup_required");
    trail.expect("deleteApiKey", &odd).await;
}

/// What belongs to the set-up of a second factor.
async fn refuse_the_signed_in(app: &TestApp, trail: &mut Trail<'_>) {
    let browser = passkey::signed_in(app, ADA).await;
    let wrong = browser.post(&format!("{ME}/reauthenticate"), json!({ "password": WRONG })).await;
    trail.expect("reauthenticate", &wrong).await;
    let none = browser.post(&format!("{ME}/two_factor/totp/confirm"), json!({ "code": "000000" })).await;
    trail.expect("confirmTotp", &none).await;
    let unknown = json!({ "ceremony_id": ids::next(), "credential": {} });
    trail.expect("createPasskey", &browser.post(&format!("{ME}/passkeys"), unknown).await).await;
    app.advance(Duration::from_secs(3 * 3600));
    for (operation, path) in [("startTotp", "two_factor/totp/start"), ("startPasskey", "passkeys/start")] {
        let stale = browser.post(&format!("{ME}/{path}"), json!({})).await;
        assert_eq!(stale.status, 403, "{}", stale.text);
        trail.expect(operation, &stale).await;
    }
}

/// Operations that need no credential audit themselves.
async fn refuse_anybody(app: &TestApp, trail: &mut Trail<'_>) {
    let anybody = app.browser();
    let account = |password: &str| json!({ "email": ADA, "password": password });
    trail.expect("login", &anybody.post("/api/login", account(WRONG)).await).await;
    trail.expect("signUp", &anybody.post("/api/signup", account(WRONG)).await).await;
    let pending = anybody.begin_login(ADA, PASSWORD).await;
    let code = code_in(&app.mail_to(ADA).await.text);
    let other = if code == "000000" { "000001" } else { "000000" };
    let wrong = json!({ "login_id": pending["login_id"], "code": other });
    trail.expect("completeEmailMfa", &anybody.post("/api/login/email_mfa", wrong).await).await;
    let wrong = json!({ "email": ADA, "code": other });
    trail.expect("confirmEmail", &anybody.post("/api/email_verification/confirm", wrong).await).await;
    let token = json!({ "token": "x", "password": WRONG });
    trail.expect("completePasswordReset", &anybody.post("/api/reset/complete", token.clone()).await).await;
    trail.expect("completeTwoFactorReset", &anybody.post("/api/two_factor_reset/complete", token).await).await;
    refuse_further_mails(app, trail).await;
}

/// Those who ask too often are answered as ever.
async fn refuse_further_mails(app: &TestApp, trail: &mut Trail<'_>) {
    let anybody = app.browser();
    let config = &app.kernel.config;
    let limits = [config.recovery.per_address.count, config.email_verification.resend_per_address.count];
    let paths = ["/api/reset", "/api/email_verification/resend"];
    for ((path, operation), limit) in paths.iter().zip(["requestPasswordReset", "resendEmailVerification"]).zip(limits)
    {
        let ask = async || anybody.post(path, json!({ "email": "bob@byron.test" })).await;
        for _ in 0..limit {
            ask().await;
        }
        trail.expect(operation, &ask().await).await;
    }
}

/// Wrong codes of an app, and a passkey that does not say that it checked who uses it.
async fn refuse_second_factors(app: &TestApp, trail: &mut Trail<'_>) {
    let browser = passkey::signed_in(app, "eve@example.test").await;
    let mut key = Authenticator::new(&app.origin());
    passkey::add(app, &browser, &mut key).await;
    key.is_verifying = false;
    trail.expect("finishPasskeyLogin", &passkey::try_passkey(&app.browser(), &mut key).await).await;
    browser.enable_totp().await;
    let other = app.browser();
    let pending = begin(&other).await;
    let wrong = json!({ "login_id": pending["login_id"], "backup_code": "aaaaa-aaaaa" });
    trail.expect("completeTwoFactor", &other.post("/api/login/two_factor", wrong).await).await;
}

async fn begin(browser: &Caller<'_>) -> Value {
    browser.begin_two_factor("eve@example.test").await
}
