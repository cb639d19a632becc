//! Every way to have a session against every policy.

use std::time::Duration;

use harness::{Authenticator as Passkey, Caller, PASSWORD, TestApp, code_in, totp::Authenticator};
use serde_json::{Value, json};
use shared::email_mfa;

use super::{ADA, BOB, FIRST, PROBE, SETUP, VERIFICATION, app, signed_in, with_proof};
use crate::passkey;

/// What an organization may say about second factors.
const POLICIES: [(&str, &str); 5] = [
    ("nothing", "enforces_two_factor = FALSE, allows_email_mfa = FALSE, trusts_idp_mfa = FALSE"),
    ("a factor", "enforces_two_factor = TRUE, allows_email_mfa = FALSE, trusts_idp_mfa = FALSE"),
    ("a factor or a mailed code", "enforces_two_factor = TRUE, allows_email_mfa = TRUE, trusts_idp_mfa = FALSE"),
    ("a factor or a trusted provider", "enforces_two_factor = TRUE, allows_email_mfa = FALSE, trusts_idp_mfa = TRUE"),
    ("a factor or either", "enforces_two_factor = TRUE, allows_email_mfa = TRUE, trusts_idp_mfa = TRUE"),
];

const FREE: [Option<&str>; 5] = [None; 5];

/// Holds a session against all policies, and again, each change while it lives.
async fn assert_row(app: &TestApp, what: &str, caller: &Caller<'_>, expected: [Option<&str>; 5]) {
    assert_path(app, (what, PROBE), caller, expected).await;
}

async fn assert_path(app: &TestApp, (what, path): (&str, &str), caller: &Caller<'_>, expected: [Option<&str>; 5]) {
    for _ in 0..2 {
        for ((policy, columns), expected) in POLICIES.iter().zip(expected) {
            app.set_policy(FIRST, columns).await;
            let answer = caller.get(path).await;
            let code = (answer.status == 403).then(|| answer.json()["code"].as_str().unwrap_or_default().to_owned());
            assert_eq!(code.as_deref(), expected, "{what} where {policy} is demanded: {}", answer.text);
            assert_eq!(answer.status, if expected.is_some() { 403 } else { 200 }, "{what}: {}", answer.text);
        }
    }
    app.set_policy(FIRST, POLICIES[0].1).await;
}

/// A user of this organization with an authenticator app, and the browser that enabled it.
async fn with_totp<'a>(app: &'a TestApp, email: &str) -> (Caller<'a>, Authenticator, Vec<String>) {
    let browser = signed_in(app, email).await;
    let (authenticator, codes) = browser.enable_totp().await;
    (browser, authenticator, codes)
}

async fn pass(browser: &Caller<'_>, email: &str, mut proof: Value) {
    let pending = browser.begin_two_factor(email).await;
    proof["login_id"] = pending["login_id"].clone();
    let login = browser.post("/api/login/two_factor", proof).await.expect(200).json();
    assert_eq!(login["status"], "signed_in");
}

/// L04, L05, L07, W32: users without a factor. The mailed code counts where the organization says so, the provider's word
/// likewise, and an administrator's bypass never. The instance admin is no exception.
#[tokio::test(flavor = "multi_thread")]
async fn users_without_a_factor_against_every_policy() {
    let app = app().await;
    let code_or_not = [None, Some(SETUP), None, Some(SETUP), None];
    assert_row(&app, "password and mailed code", &signed_in(&app, BOB).await, code_or_not).await;
    let admin = signed_in(&app, ADA).await;
    assert_eq!(admin.get("/api/users/@me").await.expect(200).json()["is_instance_admin"], true);
    assert_row(&app, "password and mailed code of the instance admin", &admin, code_or_not).await;
    let sso = with_proof(&app, BOB, &["fed"]).await;
    assert_row(&app, "single sign-on", &sso, [None, Some(SETUP), Some(SETUP), None, None]).await;
    let user = app.user(BOB).await;
    email_mfa::grant_bypass(&app.kernel, user.id, Duration::from_secs(600), "lost mailbox").await.unwrap();
    let browser = app.browser();
    let login = browser.post("/api/login", json!({ "email": BOB, "password": PASSWORD })).await.expect(200).json();
    assert_eq!(login["status"], "signed_in");
    let never = [None, Some(SETUP), Some(SETUP), Some(SETUP), Some(SETUP)];
    assert_row(&app, "password with a bypass", &browser, never).await;
}

/// L04, L07: a browser that is trusted for the mailed code counts as that code does, and so does signing in again there.
#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_browser_counts_as_what_it_passed() {
    let app = app().await;
    let code_or_not = [None, Some(SETUP), None, Some(SETUP), None];
    let browser = app.browser();
    let pending = browser.begin_login(BOB, PASSWORD).await;
    let code = code_in(&app.mail_to(BOB).await.text);
    let proof = json!({ "login_id": pending["login_id"], "code": code, "remember_device": true });
    browser.post("/api/login/email_mfa", proof).await.expect(200);
    let password = json!({ "email": BOB, "password": PASSWORD });
    // On the live session, and after signing out.
    browser.post("/api/login", password.clone()).await.expect(200);
    assert_row(&app, "signed in again", &browser, code_or_not).await;
    browser.post("/api/logout", json!({})).await.expect(204);
    assert_eq!(browser.post("/api/login", password).await.expect(200).json()["status"], "signed_in");
    assert_row(&app, "a browser trusted for the mailed code", &browser, code_or_not).await;
    let plain = signed_in(&app, BOB).await;
    plain.post("/api/login", json!({ "email": BOB, "password": PASSWORD })).await.expect(200);
    assert_row(&app, "signed in again without trust", &plain, code_or_not).await;
    app.drain().await;
}

/// L02, L04: users with an authenticator app. Whatever proved it is free; a session from before it has to prove it.
#[tokio::test(flavor = "multi_thread")]
async fn users_with_an_app_against_every_policy() {
    let app = app().await;
    let (first, authenticator, codes) = with_totp(&app, BOB).await;
    let owes = [None, Some(VERIFICATION), None, Some(VERIFICATION), None];
    assert_row(&app, "the session that enabled the app", &first, owes).await;
    let sso = with_proof(&app, BOB, &["fed"]).await;
    let owes_unless_trusted = [None, Some(VERIFICATION), Some(VERIFICATION), None, None];
    assert_row(&app, "single sign-on of a user with an app", &sso, owes_unless_trusted).await;
    let password = with_proof(&app, BOB, &["pwd"]).await;
    let owes_all = [None, Some(VERIFICATION), Some(VERIFICATION), Some(VERIFICATION), Some(VERIFICATION)];
    assert_row(&app, "password alone", &password, owes_all).await;

    let browser = app.browser();
    let proof = json!({ "code": authenticator.code(app.now()), "remember_device": true });
    pass(&browser, BOB, proof).await;
    assert_row(&app, "password and app", &browser, FREE).await;
    browser.post("/api/logout", json!({})).await.expect(204);
    let again = browser.post("/api/login", json!({ "email": BOB, "password": PASSWORD })).await.expect(200).json();
    assert_eq!((again["status"].as_str(), again["session"]["amr"].clone()), (Some("signed_in"), json!(["pwd"])));
    assert_row(&app, "password in a browser trusted for the app", &browser, FREE).await;
    let by_backup_code = app.browser();
    pass(&by_backup_code, BOB, json!({ "backup_code": codes[0] })).await;
    assert_row(&app, "password and backup code", &by_backup_code, FREE).await;
    app.drain().await;
}

/// G06, L04: a passkey that verified its user is two factors, whether or not it serves as the second step.
#[tokio::test(flavor = "multi_thread")]
async fn users_with_a_passkey_against_every_policy() {
    let app = app().await;
    let first = signed_in(&app, BOB).await;
    let mut authenticator = Passkey::new(&app.origin());
    passkey::add(&app, &first, &mut authenticator).await;
    let owes = [None, Some(VERIFICATION), None, Some(VERIFICATION), None];
    assert_row(&app, "password and mailed code of a user with a passkey", &first, owes).await;
    let browser = app.browser();
    passkey::try_passkey(&browser, &mut authenticator).await.expect(200);
    assert_row(&app, "passkey", &browser, FREE).await;
    app.drain().await;
}

/// L04, W17: a personal API key is made by a session that meets the demand, and works while its owner is able to meet it.
#[tokio::test(flavor = "multi_thread")]
async fn api_keys_against_every_policy() {
    const KEYS: &str = "/api/users/@me/api_keys";
    const CURRENT: &str = "/api/users/@me/api_keys/@current";
    let app = app().await;
    let browser = signed_in(&app, BOB).await;
    let wish = json!({ "label": "nightly export", "scopes": ["user:read"] });
    app.set_policy(FIRST, POLICIES[1].1).await;
    browser.post(KEYS, wish.clone()).await.expect_problem(403, SETUP);
    app.set_policy(FIRST, POLICIES[0].1).await;
    let created = browser.post(KEYS, wish).await.expect(201).json();
    let program = app.browser().bearer(created["value"].as_str().unwrap());
    let owes = [None, Some(SETUP), None, None, None];
    assert_path(&app, ("a key of a user without a factor", CURRENT), &program, owes).await;
    let mut authenticator = Passkey::new(&app.origin());
    passkey::add(&app, &browser, &mut authenticator).await;
    assert_path(&app, ("a key of a user with a passkey", CURRENT), &program, FREE).await;
    app.drain().await;
}
