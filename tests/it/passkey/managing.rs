//! The passkeys of a user: seen, renamed, removed.

use std::time::Duration;

use harness::{Authenticator, TestApp};
use serde_json::json;

use super::{
    ADA, BOB, FIVE_MINUTES, PASSKEYS, START, add, answer_to, passkeys, signed_in, try_passkey, user_with_passkey,
};

/// G12: what holds them is told from how they can be reached.
#[tokio::test(flavor = "multi_thread")]
async fn the_list_shows_what_tells_passkeys_apart() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let kinds = [
        (json!(["internal"]), "platform"),
        (json!(["hybrid", "internal"]), "platform"),
        (json!(["hybrid"]), "hybrid"),
        (json!(["usb", "nfc"]), "hardware"),
        (json!([]), "unknown"),
        (json!(["carrier-pigeon"]), "unknown"),
    ];
    let mut last = None;
    for (transports, kind) in &kinds {
        let mut passkey = Authenticator::new(&app.origin());
        passkey.transports = transports.clone();
        let shown = add(&app, &browser, &mut passkey).await;
        assert_eq!(shown["kind"], *kind, "{shown}");
        last = Some(passkey);
    }
    let listed = passkeys(&browser).await;
    assert_eq!(listed.len(), kinds.len());
    let seen: Vec<_> = listed.iter().rev().map(|shown| shown["kind"].as_str().unwrap()).collect();
    assert_eq!(seen, kinds.iter().map(|(_, kind)| *kind).collect::<Vec<_>>());
    assert_eq!(listed[2]["transports"], json!(["usb", "nfc"]));
    let newest = &listed[0];
    assert_eq!((&newest["label"], &newest["transports"]), (&json!("Passkey"), &json!([])));
    assert!(newest["created_at"].is_string() && newest.get("last_used_at").is_none(), "{newest}");
    app.advance(Duration::from_secs(60));
    try_passkey(&app.browser(), &mut last.unwrap()).await.expect(200);
    let used = passkeys(&browser).await[0].clone();
    assert!(used["last_used_at"].as_str() > used["created_at"].as_str(), "{used}");

    // In pages.
    let first = browser.get(&format!("{PASSKEYS}?limit=4")).await.expect(200).json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = browser.get(&format!("{PASSKEYS}?limit=4&cursor={cursor}")).await.expect(200).json();
    assert_eq!((first["items"].as_array().unwrap().len(), second["items"].as_array().unwrap().len()), (4, 2));
    assert_eq!(second.get("next_cursor"), None);
    assert_eq!(second["items"][1], listed[5]);
}

/// G12: up to 200 characters, and not nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_renamed() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let challenge = browser.post(START, json!({})).await.expect(200).json();
    let mut passkey = Authenticator::new(&app.origin());
    let credential = passkey.create(&challenge["public_key"]);
    let mut answer = answer_to(&challenge, &credential);
    answer["label"] = json!(" Key ring ");
    let verification = browser.post(PASSKEYS, answer).await.expect(200).json()["verification"].clone();
    let credential = passkey.get(&verification["public_key"]);
    let added = browser.post(PASSKEYS, answer_to(&verification, &credential)).await.expect(200).json();
    app.drain().await;
    assert_eq!(added["passkey"]["label"], "Key ring");
    let path = format!("{PASSKEYS}/{}", added["passkey"]["id"].as_str().unwrap());
    let long = "ä".repeat(200);
    let renamed = browser.patch(&path, json!({ "label": long })).await.expect(200).json();
    assert_eq!(renamed["label"], long);
    assert_eq!(passkeys(&browser).await, vec![renamed]);
    for (label, code) in [("ä".repeat(201), "too_long"), (" ".to_owned(), "required"), ("a\u{7}".to_owned(), "invalid")]
    {
        let problem = browser.patch(&path, json!({ "label": label })).await.expect_problem(422, "validation_failed");
        assert_eq!((&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]), (&json!("/label"), &json!(code)));
    }
    assert_eq!(passkeys(&browser).await[0]["label"], long);
}

/// The part of T-WA-10 that needs no organizations: neither renamed nor removed, nor listed.
#[tokio::test(flavor = "multi_thread")]
async fn passkeys_of_others_are_not_found() {
    let app = TestApp::new().await;
    let (ada, _) = user_with_passkey(&app, ADA).await;
    let before = passkeys(&ada).await;
    let bob = signed_in(&app, BOB).await;
    let path = format!("{PASSKEYS}/{}", before[0]["id"].as_str().unwrap());
    bob.patch(&path, json!({ "label": "mine" })).await.expect_problem(404, "passkey_not_found");
    bob.delete(&path).await.expect_problem(404, "passkey_not_found");
    assert!(passkeys(&bob).await.is_empty());
    assert_eq!(passkeys(&ada).await, before);
}

/// G13: with a recent proof of identity only; the passkey ends and the owner is told by mail.
#[tokio::test(flavor = "multi_thread")]
async fn removing_needs_a_recent_proof_and_is_told() {
    let app = TestApp::new().await;
    let (browser, mut passkey) = user_with_passkey(&app, ADA).await;
    let path = format!("{PASSKEYS}/{}", passkeys(&browser).await[0]["id"].as_str().unwrap());
    app.advance(FIVE_MINUTES);
    browser.delete(&path).await.expect_problem(403, "sensitive_action_required_reauth");
    try_passkey(&browser, &mut passkey).await.expect(200);
    browser.delete(&path).await.expect(204);
    app.drain().await;
    assert_eq!(app.mail_to(ADA).await.subject, "A passkey was removed from your account");
    assert!(passkeys(&browser).await.is_empty());
    try_passkey(&app.browser(), &mut passkey).await.expect_problem(400, "invalid_passkey");
    browser.delete(&path).await.expect_problem(404, "passkey_not_found");
    let removed = shared::audit::list(app.kernel.db.reader(), "passkey.remove", 10).await.unwrap();
    assert_eq!(removed.iter().filter(|row| row.outcome == "success").count(), 1);
}

/// G14: a password counts as one, another passkey does; of two removals at once one is refused.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_way_to_sign_in_stays() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    for _ in 0..2 {
        add(&app, &browser, &mut Authenticator::new(&app.origin())).await;
    }
    app.execute("DELETE FROM passwords").await;
    let paths: Vec<_> =
        passkeys(&browser).await.iter().map(|shown| format!("{PASSKEYS}/{}", shown["id"].as_str().unwrap())).collect();
    let answers = futures_util::future::join_all(paths.iter().map(|path| browser.delete(path))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
    for answer in answers.iter().filter(|answer| answer.status == 409) {
        answer.expect_problem(409, "last_login_method");
    }
    assert_eq!(passkeys(&browser).await.len(), 1);
    app.drain().await;
}
