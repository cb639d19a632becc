//! Making, changing, rolling and deleting keys.

use std::time::Duration;

use futures_util::future::join_all;
use harness::{OTHER_PASSWORD, PASSWORD, TestApp};
use serde_json::json;
use shared::{key_format, users};

use super::*;

/// D01, D02, T-KEY-01: the secret is shown once; the database has its digest and mask, and a dump of it opens nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_and_stored_as_a_digest() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let created = made(&browser, &["user:read"]).await;
    app.drain().await;
    let (id, value) = (text(&created, "id"), text(&created, "value"));
    assert!(key_format::is_sound("gpx_", &value), "{value}");
    assert_eq!(created["mask"], format!("gpx_...{}", &value[value.len() - 4..]));
    let shown = browser.get(&format!("{KEYS}/{id}")).await.expect(200);
    let listed = browser.get(KEYS).await.expect(200);
    assert_eq!(listed.json()["items"][0], shown.json());
    assert!(!shown.text.contains(&value) && shown.json().get("value").is_none());
    let dump = app.dump().await;
    assert!(dump.contains(&key_format::hash(&value)) && !dump.contains(&value));
    program(&app, &key_format::hash(&value)).get(ME).await.expect_problem(401, "unauthenticated");
    program(&app, &value).get(ME).await.expect(200);
    let mail = app.mail_to(ADA).await;
    assert_eq!(mail.subject, "An API key was created");
    assert!(mail.text.contains("deploy") && !mail.text.contains(&value));
}

/// D11: the grammar of scopes is closed, and a key without any is refused.
#[tokio::test(flavor = "multi_thread")]
async fn scopes_that_do_not_exist_are_refused() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    for scopes in
        [json!([]), json!(["user:admin"]), json!(["user:read", "nothing:read"]), json!(["user:read user:write"])]
    {
        let refused = create(&browser, json!({ "label": "x", "scopes": scopes })).await;
        refused.expect_problem(400, "invalid_scope");
    }
    for label in ["", "   ", "a\u{7}", &"a".repeat(65)] {
        let refused = create(&browser, json!({ "label": label, "scopes": ["*"] })).await;
        refused.expect_problem(422, "validation_failed");
    }
    let (id, value) = key_of(&app, &browser).await;
    let refused = browser.patch(&format!("{KEYS}/{id}"), json!({ "scopes": ["x"] })).await;
    refused.expect_problem(400, "invalid_scope");
    let narrowed = browser.patch(&format!("{KEYS}/{id}"), json!({ "scopes": ["event:read"], "label": "b" })).await;
    assert_eq!(narrowed.expect(200).json()["scopes"], json!(["event:read"]));
    program(&app, &value).get(ME).await.expect_problem(403, "missing_scope");
}

/// T-KEY-06: whom a key belongs to, and everything else that the server says, cannot be sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_its_makers_whatever_the_body_says() {
    let app = TestApp::new().await;
    let (ada, bob) = (signed_in(&app, ADA).await, signed_in(&app, BOB).await);
    let victim = app.user(ADA).await.id;
    let body = json!({ "label": "x", "scopes": ["*"], "user_id": victim, "mask": "m", "auth_epoch": 99, "id": victim });
    let created = create(&bob, body).await.expect(201).json();
    app.drain().await;
    assert_ne!(created["mask"], "m");
    let me = program(&app, &text(&created, "value")).get(ME).await.expect(200).json();
    assert_eq!(me["email"], BOB);
    let path = format!("{KEYS}/{}", text(&created, "id"));
    for answer in [
        ada.get(&path).await,
        ada.patch(&path, json!({ "label": "y" })).await,
        ada.delete(&path).await,
        ada.post(&format!("{path}/roll"), json!({})).await,
    ] {
        answer.expect_problem(404, "api_key_not_found");
    }
    assert_eq!(ada.get(KEYS).await.expect(200).json()["items"], json!([]));
}

/// D17: ten keys at most, also when they are made at the same time; a deleted one makes room.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_ten_active_keys_at_most() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let body = json!({ "label": "x", "scopes": ["*"] });
    let answers = join_all((0..14).map(|_| create(&browser, body.clone()))).await;
    app.drain().await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 10);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.expect_problem(400, "too_many_api_keys");
    }
    browser.delete(&format!("{KEYS}/{}", text(&made[0].json(), "id"))).await.expect(204);
    create(&browser, body).await.expect(201);
    app.drain().await;
}

/// D18: rolling keeps everything but the secret, whose predecessor is dead at once, on every gateway.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_key_has_another_secret() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (id, old) = key_of(&app, &browser).await;
    let other = app.another_gateway().await;
    for caller in [program(&app, &old), program(&app, &old).through(&other)] {
        caller.get(ME).await.expect(200);
    }
    let rolled = browser.post(&format!("{KEYS}/{id}/roll"), json!({})).await.expect(200).json();
    let fresh = text(&rolled, "value");
    assert_eq!(
        (text(&rolled, "id"), &rolled["label"], &rolled["scopes"]),
        (id.clone(), &json!("deploy"), &json!(["*"]))
    );
    for gateway in [app.endpoint(), &other] {
        program(&app, &old).through(gateway).get(ME).await.expect_problem(401, INVALID);
        program(&app, &fresh).through(gateway).get(ME).await.expect(200);
    }
    let shown = browser.get(&format!("{KEYS}/{id}")).await.expect(200).json();
    assert!(shown["last_rolled_at"].is_string(), "{shown}");
    assert_eq!(audited(&app, "api_keys.roll").await.len(), 1);
}

/// D19: creating, changing, rolling and deleting need a proof of the last two hours, and cannot be done with a key.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_managed_with_a_recent_proof_and_never_with_a_key() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (id, value) = key_of(&app, &browser).await;
    let path = format!("{KEYS}/{id}");
    let body = json!({ "label": "x", "scopes": ["*"] });
    let with_key = program(&app, &value);
    for answer in [
        create(&with_key, body.clone()).await,
        with_key.patch(&path, body.clone()).await,
        with_key.post(&format!("{path}/roll"), json!({})).await,
        with_key.delete(&path).await,
        with_key.get(KEYS).await,
    ] {
        answer.expect_problem(403, "api_key_not_accepted");
    }
    app.advance(Duration::from_secs(7201));
    for answer in [
        create(&browser, body.clone()).await,
        browser.patch(&path, body.clone()).await,
        browser.post(&format!("{path}/roll"), json!({})).await,
        browser.delete(&path).await,
    ] {
        answer.expect_problem(403, "sensitive_action_required_reauth");
    }
    browser.post("/api/users/@me/reauthenticate", json!({ "password": PASSWORD })).await.expect(200);
    create(&browser, body).await.expect(201);
    browser.delete(&path).await.expect(204);
    with_key.get(ME).await.expect_problem(401, INVALID);
    app.drain().await;
}

/// D26: what is done to keys is audited, with the mask and nothing else of the secret.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_keys_are_audited_with_their_mask() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (id, value) = key_of(&app, &browser).await;
    let path = format!("{KEYS}/{id}");
    browser.patch(&path, json!({ "label": "other" })).await.expect(200);
    let rolled = browser.post(&format!("{path}/roll"), json!({})).await.expect(200).json();
    browser.delete(&path).await.expect(204);
    for action in ["create", "update", "roll", "delete"] {
        let rows = audited(&app, &format!("api_keys.{action}")).await;
        assert_eq!(rows.len(), 1, "{action}");
        assert_eq!(rows[0]["api_key_id"], id.as_str());
        assert!(rows[0]["mask"].as_str().unwrap().starts_with("gpx_..."), "{rows:?}");
        for secret in [&value, &text(&rolled, "value")] {
            assert!(!rows[0].to_string().contains(&secret[4..]), "{action}");
        }
    }
}

/// D08, O13: the key of a disabled or deleted user gets the answer of an unknown key.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_disabled_user_is_unknown() {
    let app = TestApp::new().await;
    signed_in(&app, ADA).await;
    let (_, of_bob) = key_of(&app, &signed_in(&app, BOB).await).await;
    let (_, of_eve) = key_of(&app, &signed_in(&app, "eve@lovelace.test").await).await;
    for key in [&of_bob, &of_eve] {
        program(&app, key).get(ME).await.expect(200);
    }
    users::disable(&app.kernel, app.user(BOB).await.id).await.unwrap();
    app.execute("DELETE FROM users WHERE email = 'eve@lovelace.test'").await;
    let unknown = key_format::mint("gpx_").expose().clone();
    let expected = app.browser_at("192.0.2.7").plain().bearer(&unknown).get(ME).await;
    expected.expect_problem(401, INVALID);
    for key in [of_bob, of_eve] {
        let refused = app.browser_at("192.0.2.7").plain().bearer(&key).get(ME).await;
        assert_eq!(refused.fingerprint(), expected.fingerprint());
    }
}

/// D08, T-SESS-05: what ends everything that a user holds ends their keys; rolling one gives it a place again.
#[tokio::test(flavor = "multi_thread")]
async fn another_password_ends_keys_until_they_are_rolled() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (id, value) = key_of(&app, &browser).await;
    let change = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
    browser.post("/api/users/@me/password", change).await.expect(204);
    program(&app, &value).get(ME).await.expect_problem(401, INVALID);
    let shown = browser.get(&format!("{KEYS}/{id}")).await.expect(200).json();
    assert_eq!(shown["status"], "ended");
    let rolled = browser.post(&format!("{KEYS}/{id}/roll"), json!({})).await.expect(200).json();
    program(&app, &text(&rolled, "value")).get(ME).await.expect(200);
    app.drain().await;
}

/// D25: a reported key is dead, its owner learns where it was found; unknown keys are false positives; ten a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaked_key_is_disabled_and_its_owner_told() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (id, value) = key_of(&app, &browser).await;
    program(&app, &value).get(ME).await.expect(200);
    let finder = app.browser_at("192.0.2.9").plain();
    let report = |key: &str| json!({ "api_key": key, "found_in": "https://pastes.test/42" });
    let path = "/api/api_keys/report_leak";
    let unknown = key_format::mint("gpx_").expose().clone();
    assert_eq!(finder.post(path, report(&unknown)).await.expect(200).json()["label"], "false_positive");
    assert_eq!(finder.post(path, report(&value)).await.expect(200).json()["label"], "true_positive");
    program(&app, &value).get(ME).await.expect_problem(401, INVALID);
    assert_eq!(finder.post(path, report(&value)).await.expect(200).json()["label"], "false_positive");
    app.drain().await;
    let mails = app.mails_about(ADA, "An API key was exposed").await;
    assert_eq!(mails.len(), 1);
    let mask = key_format::mask(&value);
    assert!(mails[0].text.contains(&mask) && mails[0].text.contains("pastes"), "{}", mails[0].text);
    assert_eq!(browser.get(&format!("{KEYS}/{id}")).await.expect(200).json()["status"], "exposed");
    for _ in 3..10 {
        finder.post(path, report("x")).await.expect(200);
    }
    finder.post(path, report("x")).await.expect_problem(429, "throttled");
    app.browser_at("192.0.2.10").plain().post(path, report("x")).await.expect(200);
    let rolled = browser.post(&format!("{KEYS}/{id}/roll"), json!({})).await.expect(200).json();
    program(&app, &text(&rolled, "value")).get(ME).await.expect(200);
}
