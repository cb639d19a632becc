//! The last second factor stays while it is demanded.

use harness::{Authenticator as Passkey, Caller, TestApp};
use serde_json::{Value, json};
use shared::audit;

use super::{BOB, FIRST, PROBE, STRICT, app, signed_in, step_up};
use crate::passkey;

const ENFORCED: &str = "two_factor_enforced";
const TOTP: &str = "/api/users/@me/two_factor/totp";
const TWO_FACTOR: &str = "/api/users/@me/two_factor";

/// How many refusals of an action the audit trail has.
async fn refusals(app: &TestApp, action: &str) -> usize {
    let rows = audit::list(app.kernel.db.reader(), action, 1000).await.unwrap();
    rows.iter().filter(|row| row.outcome == "failure").count()
}

/// F09, G14, T-WA-10, W16: the app is the last factor.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_app_cannot_be_removed_while_a_factor_is_demanded() {
    let app = app().await;
    let browser = signed_in(&app, BOB).await;
    let (authenticator, codes) = browser.enable_totp().await;
    app.set_policy(FIRST, STRICT).await;
    step_up(&app, &browser, &authenticator).await.expect(200);
    browser.delete(TOTP).await.expect_problem(409, ENFORCED);
    assert_eq!(refusals(&app, "totp.disable").await, 1);
    // Nothing has changed: neither the app, nor its codes, nor the session.
    browser.get(PROBE).await.expect(200);
    let status = browser.get("/api/users/@me/two_factor").await.expect(200).json();
    assert_eq!((&status["is_enabled"], &status["backup_codes_left"]), (&Value::from(true), &Value::from(codes.len())));
    app.set_policy(FIRST, "enforces_two_factor = FALSE").await;
    browser.delete(TOTP).await.expect(204);
    app.drain().await;
    // What the session proved once counts for nothing without the factor.
    app.set_policy(FIRST, STRICT).await;
    browser.get(PROBE).await.expect_problem(403, super::SETUP);
}

/// F09: where a mailed code is enough, the app may go.
#[tokio::test(flavor = "multi_thread")]
async fn the_app_may_go_where_a_mailed_code_is_enough() {
    let app = app().await;
    let browser = signed_in(&app, BOB).await;
    let (authenticator, _) = browser.enable_totp().await;
    app.set_policy(FIRST, "enforces_two_factor = TRUE, allows_email_mfa = TRUE").await;
    step_up(&app, &browser, &authenticator).await.expect(200);
    browser.delete(TOTP).await.expect(204);
    browser.get(PROBE).await.expect(200);
    app.drain().await;
}

/// G14, T-WA-10, W16: the passkey is the last factor.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_passkey_cannot_be_removed_while_a_factor_is_demanded() {
    let app = app().await;
    let browser = signed_in(&app, BOB).await;
    let (mut first, mut second) = (Passkey::new(&app.origin()), Passkey::new(&app.origin()));
    let ids = [passkey::add(&app, &browser, &mut first).await, passkey::add(&app, &browser, &mut second).await];
    let path = |passkey: &Value| format!("/api/users/@me/passkeys/{}", passkey["id"].as_str().unwrap_or_default());
    app.set_policy(FIRST, STRICT).await;
    passkey::try_passkey(&browser, &mut second).await.expect(200);
    browser.delete(&path(&ids[0])).await.expect(204);
    browser.delete(&path(&ids[1])).await.expect_problem(409, ENFORCED);
    assert_eq!(refusals(&app, "passkey.remove").await, 1);
    browser.get(PROBE).await.expect(200);
    app.set_policy(FIRST, "enforces_two_factor = FALSE").await;
    browser.delete(&path(&ids[1])).await.expect(204);
    app.drain().await;
}

/// A browser whose user has a passkey as second factor, signed in with it.
async fn with_passkey_as_factor(app: &TestApp) -> (Caller<'_>, Value) {
    let browser = signed_in(app, BOB).await;
    let mut authenticator = Passkey::new(&app.origin());
    let passkey = passkey::add(app, &browser, &mut authenticator).await;
    browser.patch(TWO_FACTOR, json!({ "passkeys_enabled_for_2fa": true })).await.expect(200);
    passkey::try_passkey(&browser, &mut authenticator).await.expect(200);
    app.drain().await;
    (browser, passkey)
}

/// G14, T-WA-10, W16: neither removing the passkey nor making it no second factor gets around the demand.
#[tokio::test(flavor = "multi_thread")]
async fn passkeys_stay_a_second_factor_while_one_is_demanded() {
    let app = app().await;
    let (browser, passkey) = with_passkey_as_factor(&app).await;
    app.set_policy(FIRST, STRICT).await;
    let off = json!({ "passkeys_enabled_for_2fa": false });
    browser.patch(TWO_FACTOR, off.clone()).await.expect_problem(409, ENFORCED);
    let path = format!("/api/users/@me/passkeys/{}", passkey["id"].as_str().unwrap());
    browser.delete(&path).await.expect_problem(409, ENFORCED);
    let refused = [refusals(&app, "two_factor.disable_passkeys").await, refusals(&app, "passkey.remove").await];
    assert_eq!(refused, [1, 1]);
    assert_eq!(browser.get(TWO_FACTOR).await.expect(200).json()["methods"], json!(["passkey", "backup_code"]));
    app.set_policy(FIRST, "enforces_two_factor = FALSE").await;
    browser.patch(TWO_FACTOR, off).await.expect(200);
    app.drain().await;
}

/// F09, G14: of two changes at once, each of which would leave the other factor, one is refused.
#[tokio::test(flavor = "multi_thread")]
async fn two_changes_at_once_do_not_lose_both_factors() {
    let app = app().await;
    let (browser, _) = with_passkey_as_factor(&app).await;
    browser.enable_totp().await;
    app.set_policy(FIRST, STRICT).await;
    let off = json!({ "passkeys_enabled_for_2fa": false });
    let (app_gone, passkeys_off) = tokio::join!(browser.delete(TOTP), browser.patch(TWO_FACTOR, off));
    let done = [app_gone.status, passkeys_off.status].iter().filter(|status| **status < 300).count();
    assert_eq!(done, 1, "{} {}", app_gone.text, passkeys_off.text);
    assert_eq!(browser.get(TWO_FACTOR).await.expect(200).json()["is_enabled"], true);
    app.drain().await;
}
