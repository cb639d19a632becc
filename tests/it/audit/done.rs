//! What is done leaves a row in the transaction that did it, whatever the operation.

use std::time::Duration;

use gateway::spec;
use harness::{Authenticator, Caller, NameServer, OTHER_PASSWORD, PASSWORD, TestApp, code_in, token_in, totp};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use shared::ids;

use super::coverage::{Trail, changing, expect_masked};
use crate::{
    authorization::{self, Cast, World},
    passkey,
};

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@byron.test";
const ME: &str = "/api/users/@me";
const CONFIRM: &str = "/api/email_verification/confirm";

/// Operations that another part of this test calls.
const ELSEWHERE: [&str; 15] = [
    "changePassword",
    "confirmTotp",
    "createBackupCodes",
    "createPasskey",
    "deletePasskey",
    "disableTotp",
    "linkAccount",
    "reauthenticate",
    "resetUserTwoFactor",
    "startPasskey",
    "startTotp",
    "unlinkAccount",
    "updatePasskey",
    "updateTwoFactor",
    "verifyDomain",
];

/// every operation that changes something audits that it did, as the table says, without secrets
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_audits_what_it_does() {
    let app = authorization::app().await;
    let mut trail = Trail::of(&app, "success");
    let mut secrets = Vec::new();
    manage(&app, &mut trail, &mut secrets).await;
    prove_a_domain(&app, &mut trail).await;
    let browser = arrive(&app, &mut trail).await;
    let mut key = Authenticator::new(&app.origin());
    keep_a_linked_account(&app, &mut trail, &browser).await;
    keep_passkeys(&app, &mut trail, &browser, &mut key).await;
    keep_an_app(&app, &mut trail, &browser).await;
    be_let_back_in(&app, &mut trail).await;
    trail.expect_all();
    expect_masked(&app, &secrets).await;
    app.forget_jobs();
}

/// A body that the operation does what it is for with; none where any will do.
fn body(operation: &str) -> Option<Value> {
    Some(match operation {
        "createApiKey" => json!({ "label": "deploy", "scopes": ["*"] }),
        "createProjectSecretKey" => json!({ "label": "deploy", "scopes": ["project:read"] }),
        "updateApiKey" => json!({ "label": "other" }),
        "updateDomain" => json!({ "jit_provisioning": false }),
        "updateMe" => json!({ "first_name": "Ada" }),
        "updateMember" => json!({ "role": "admin" }),
        "updateOrganization" => json!({ "name": "Other" }),
        _ => return None,
    })
}

/// Everything that an owner does with sessions, keys, organizations and projects, and an operator with jobs.
async fn manage(app: &TestApp, trail: &mut Trail<'_>, secrets: &mut Vec<String>) {
    let cast = Cast::of(app).await;
    let invited = app.add_user("invited@example.test").await;
    let document = spec::document().expect("the document");
    for operation in changing() {
        if operation.is_public || ELSEWHERE.contains(&operation.id.as_str()) {
            continue;
        }
        let world = World::create(app, &cast.owner, &[], &cast.target).await;
        let token = match operation.id.as_str() {
            "acceptInvite" => app.open_session(&invited).await,
            "cancelJob" | "retryJob" => app.open_session(&cast.operator).await,
            _ => cast.credential(app, "owner", &world).await.expect("a token"),
        };
        if operation.id == "retryJob" {
            app.execute("UPDATE jobs SET state = 'dead'").await;
        }
        let caller = app.browser().bearer(&token);
        let answer = match body(&operation.id) {
            Some(body) => operation.send(&caller, &world, Some(body)).await,
            None => operation.call(&document, &caller, &world).await,
        };
        trail.expect(&operation.id, &answer).await;
        secrets.push(token);
        let value = serde_json::from_str::<Value>(&answer.text)
            .ok()
            .and_then(|answer| answer["value"].as_str().map(str::to_owned));
        secrets.extend(value);
    }
    let world = World::create(app, &cast.owner, &[], &cast.target).await;
    let leaked = cast.credential(app, "key", &world).await.expect("a key");
    let report = json!({ "api_key": leaked, "found_in": "https://pastes.test/42" });
    trail.expect("reportApiKeyLeak", &app.browser().post("/api/api_keys/report_leak", report).await).await;
    secrets.push(leaked);
    app.forget_jobs();
}

/// With a name server that has the record.
async fn prove_a_domain(app: &TestApp, trail: &mut Trail<'_>) {
    let names = NameServer::start().await;
    let mut config = (*app.kernel.config).clone();
    config.domains.resolver = Some(names.address);
    let gateway = app.gateway_with_config(config);
    let owner = app.member("domains@example.test").await.through(&gateway);
    let made = owner.post("/api/organizations", json!({ "name": "Acme" })).await.expect(200).json();
    let path = format!("/api/organizations/{}/domains", made["id"].as_str().expect("an id"));
    let domain = owner.post(&path, json!({ "domain": "corp.example" })).await.expect(200).json();
    let part = |name: &str| domain[name].as_str().expect("a text");
    names.set_txt(part("challenge_record"), part("challenge_value"));
    let verified = owner.post(&format!("{path}/{}/verify", part("id")), json!({})).await;
    trail.expect("verifyDomain", &verified).await;
}

/// From the sign-up to a session, with another password.
async fn arrive<'a>(app: &'a TestApp, trail: &mut Trail<'_>) -> Caller<'a> {
    let browser = app.browser();
    let account = json!({ "email": ADA, "password": PASSWORD });
    trail.expect("signUp", &browser.post("/api/signup", account).await).await;
    app.drain().await;
    let again = browser.post("/api/email_verification/resend", json!({ "email": ADA })).await;
    trail.expect("resendEmailVerification", &again).await;
    app.drain().await;
    let proof = json!({ "email": ADA, "code": code_in(&app.mail_to(ADA).await.text) });
    trail.expect("confirmEmail", &browser.post(CONFIRM, proof).await).await;
    sign_in(app, trail, &browser).await;
    change_password(app, trail, &browser).await;
    browser.log_in(ADA, PASSWORD).await;
    browser
}

/// With a code by mail, sent twice.
async fn sign_in(app: &TestApp, trail: &mut Trail<'_>, browser: &Caller<'_>) {
    let account = json!({ "email": ADA, "password": PASSWORD });
    let login = browser.post("/api/login", account).await;
    trail.expect("login", &login).await;
    app.drain().await;
    let id = login.json()["email_mfa"]["login_id"].clone();
    app.advance(Duration::from_secs(61));
    let again = browser.post("/api/login/email_mfa/resend", json!({ "login_id": id })).await;
    trail.expect("resendEmailMfa", &again).await;
    app.drain().await;
    let proof = json!({ "login_id": id, "code": code_in(&app.mail_to(ADA).await.text) });
    trail.expect("completeEmailMfa", &browser.post("/api/login/email_mfa", proof).await).await;
    app.drain().await;
}

/// To another one, and by a mailed link back.
async fn change_password(app: &TestApp, trail: &mut Trail<'_>, browser: &Caller<'_>) {
    let password = json!({ "password": PASSWORD });
    trail.expect("reauthenticate", &browser.post(&format!("{ME}/reauthenticate"), password).await).await;
    let change = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
    trail.expect("changePassword", &browser.post(&format!("{ME}/password"), change).await).await;
    app.drain().await;
    trail.expect("requestPasswordReset", &browser.post("/api/reset", json!({ "email": ADA })).await).await;
    app.drain().await;
    let token = token_in(&app.mail_to(ADA).await.text);
    let reset = json!({ "token": token, "password": PASSWORD });
    trail.expect("completePasswordReset", &browser.post("/api/reset/complete", reset).await).await;
    app.drain().await;
}

/// A link is begun, and one that is there is removed.
async fn keep_a_linked_account(app: &TestApp, trail: &mut Trail<'_>, browser: &Caller<'_>) {
    let path = format!("{ME}/linked_accounts");
    trail.expect("linkAccount", &browser.post(&format!("{path}/github/link"), json!({})).await).await;
    let (id, user_id) = (ids::next(), app.user(ADA).await.id.0);
    let sql = "INSERT INTO social_identities (id, user_id, provider, issuer, subject, created_at)
               VALUES ($1, $2, 'github', 'https://github.com/login/oauth', '1', 1)";
    let statement = Statement::from_sql_and_values(app.kernel.db.engine(), sql, [id.into(), user_id.into()]);
    app.kernel.db.writer().execute_raw(statement).await.expect("an identity");
    trail.expect("unlinkAccount", &browser.delete(&format!("{path}/{id}")).await).await;
}

/// Two passkeys: one is renamed and removed, the other one signs in.
async fn keep_passkeys(app: &TestApp, trail: &mut Trail<'_>, browser: &Caller<'_>, key: &mut Authenticator) {
    let path = format!("{ME}/passkeys");
    let mut spare = Authenticator::new(&app.origin());
    let spare = passkey::add(app, browser, &mut spare).await;
    let challenge = browser.post(&format!("{path}/start"), json!({})).await.expect(200).json();
    let credential = key.create(&challenge["public_key"]);
    let offered = json!({ "ceremony_id": challenge["ceremony_id"], "credential": credential });
    let challenge = browser.post(&path, offered).await.expect(200).json()["verification"].clone();
    let credential = key.get(&challenge["public_key"]);
    let verified = json!({ "ceremony_id": challenge["ceremony_id"], "credential": credential });
    trail.expect("createPasskey", &browser.post(&path, verified).await).await;
    let one = format!("{path}/{}", spare["id"].as_str().expect("an id"));
    trail.expect("updatePasskey", &browser.patch(&one, json!({ "label": "Spare" })).await).await;
    trail.expect("deletePasskey", &browser.delete(&one).await).await;
    let on = json!({ "passkeys_enabled_for_2fa": true });
    trail.expect("updateTwoFactor", &browser.patch(&format!("{ME}/two_factor"), on).await).await;
    trail.expect("finishPasskeyLogin", &passkey::try_passkey(&app.browser(), key).await).await;
    let off = json!({ "passkeys_enabled_for_2fa": false });
    let other = app.browser();
    passkey::try_passkey(&other, key).await.expect(200);
    other.patch(&format!("{ME}/two_factor"), off).await.expect(200);
    app.drain().await;
}

/// An authenticator app, which is replaced once.
async fn keep_an_app(app: &TestApp, trail: &mut Trail<'_>, browser: &Caller<'_>) {
    let path = format!("{ME}/two_factor");
    browser.log_in(ADA, PASSWORD).await;
    let started = browser.post(&format!("{path}/totp/start"), json!({})).await;
    trail.expect("startTotp", &started).await;
    let authenticator = totp::Authenticator::of(started.json()["secret"].as_str().expect("a secret"));
    let code = json!({ "code": authenticator.code(app.now()) });
    trail.expect("confirmTotp", &browser.post(&format!("{path}/totp/confirm"), code).await).await;
    app.advance(Duration::from_secs(60));
    app.drain().await;
    let pending = browser.begin_two_factor(ADA).await;
    let code = json!({ "login_id": pending["login_id"], "code": authenticator.code(app.now()) });
    trail.expect("completeTwoFactor", &browser.post("/api/login/two_factor", code).await).await;
    trail.expect("createBackupCodes", &browser.post(&format!("{path}/backup_codes"), json!({})).await).await;
    trail.expect("disableTotp", &browser.delete(&format!("{path}/totp")).await).await;
    app.drain().await;
    browser.enable_totp().await;
}

/// An administrator lets the user back in who lost the app.
async fn be_let_back_in(app: &TestApp, trail: &mut Trail<'_>) {
    let admin = app.browser();
    admin.sign_up_verified(BOB).await;
    admin.log_in(BOB, PASSWORD).await;
    admin.post("/api/organizations", json!({ "name": "Byron" })).await.expect(200);
    app.join("Byron", ADA, "member").await;
    let path = format!("/api/users/{}/two_factor_reset", app.user(ADA).await.id);
    trail.expect("resetUserTwoFactor", &admin.post(&path, json!({})).await).await;
    app.drain().await;
    let token = token_in(&app.mails_about(ADA, "Reset your two-factor authentication").await.remove(0).text);
    let proof = json!({ "token": token, "password": PASSWORD });
    trail.expect("completeTwoFactorReset", &app.browser().post("/api/two_factor_reset/complete", proof).await).await;
}
