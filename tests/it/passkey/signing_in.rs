//! Signing in with a passkey.

use std::time::Duration;

use harness::{Authenticator, TestApp};
use serde_json::json;

use super::{
    ADA, BOB, CEREMONY, FIVE_MINUTES, LOGIN_FINISH, LOGIN_START, PASSKEYS, SESSION, add, answer_to, count, offer,
    passkeys, signed_in, start_login, try_passkey, user_with_passkey,
};

/// G06: without an address, in one step; of T-WA-11, that the verified user counts as two factors.
#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_signs_its_owner_in() {
    let app = TestApp::new().await;
    let (_, mut passkey) = user_with_passkey(&app, ADA).await;
    user_with_passkey(&app, BOB).await;
    let browser = app.browser();
    let begun = browser.post(LOGIN_START, json!({})).await.expect(200);
    let challenge = begun.json();
    let options = &challenge["public_key"];
    assert_eq!((&options["rpId"], &options["userVerification"]), (&json!("localhost"), &json!("required")));
    assert_eq!((&options["timeout"], &options["allowCredentials"]), (&json!(300_000), &json!([])));
    assert_eq!(challenge.get("ceremony_token"), None);
    let cookie = begun.set_cookie(CEREMONY).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let answer = browser.post(LOGIN_FINISH, answer_to(&challenge, &passkey.get(options))).await.expect(200);
    let login = answer.json();
    assert_eq!((&login["status"], &login["user"]["email"]), (&json!("signed_in"), &json!(ADA)), "{login}");
    assert_eq!(login["session"]["amr"], json!(["hwk", "user", "mfa"]));
    assert_eq!(login["session"].get("token"), None);
    assert_eq!(browser.get("/api/users/@me").await.expect(200).json()["email"], ADA);
}

/// G06: for a client that keeps tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_cookies_gets_tokens() {
    let app = TestApp::new().await;
    let (_, mut passkey) = user_with_passkey(&app, ADA).await;
    let client = app.browser().plain();
    let begun = client.post(LOGIN_START, json!({ "session_transport": "token" })).await.expect(200);
    assert_eq!(begun.header("set-cookie"), None);
    let challenge = begun.json();
    let mut answer = answer_to(&challenge, &passkey.get(&challenge["public_key"]));
    client.post(LOGIN_FINISH, answer.clone()).await.expect_problem(400, "ceremony_not_found");
    answer["ceremony_token"] = json!(format!("gppk_{}", "A".repeat(43)));
    client.post(LOGIN_FINISH, answer.clone()).await.expect_problem(400, "ceremony_not_found");
    answer["ceremony_token"] = challenge["ceremony_token"].clone();
    let done = client.post(LOGIN_FINISH, answer).await.expect(200);
    assert_eq!(done.header("set-cookie"), None);
    let session_token = done.json()["session"]["token"].as_str().unwrap().to_owned();
    app.browser().bearer(&session_token).get("/api/users/@me").await.expect(200);
    let dump = app.dump().await;
    assert!(!dump.contains(&session_token) && !dump.contains(challenge["ceremony_token"].as_str().unwrap()));
}

/// T-WA-05: the challenge is the browser's that began; two of its pages do not disturb each other.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_for_the_browser_that_began() {
    let app = TestApp::new().await;
    let (_, mut passkey) = user_with_passkey(&app, ADA).await;
    let (browser, other) = (app.browser(), app.browser());
    let (first, second) = (start_login(&browser).await, start_login(&browser).await);
    start_login(&other).await;
    let answer = answer_to(&first, &passkey.get(&first["public_key"]));
    other.post(LOGIN_FINISH, answer.clone()).await.expect_problem(400, "ceremony_not_found");
    app.browser().post(LOGIN_FINISH, answer.clone()).await.expect_problem(400, "ceremony_not_found");
    // The answer to one challenge is none to another one.
    let crossed = json!({ "ceremony_id": second["ceremony_id"], "credential": answer["credential"] });
    browser.post(LOGIN_FINISH, crossed).await.expect_problem(400, "invalid_passkey");
    browser.post(LOGIN_FINISH, answer).await.expect(200);
}

/// T-WA-05, G03: once, of twenty at the same moment, too.
#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_signs_in_once() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    // One that does not count: nothing but the challenge tells its assertions apart.
    let mut passkey = Authenticator::new(&app.origin());
    passkey.is_counting = false;
    add(&app, &browser, &mut passkey).await;
    let before = count(&app, "sessions").await;
    let browser = app.browser();
    let challenge = start_login(&browser).await;
    let answer = answer_to(&challenge, &passkey.get(&challenge["public_key"]));
    let answers = futures_util::future::join_all((0..20).map(|_| browser.post(LOGIN_FINISH, answer.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.expect_problem(400, "ceremony_not_found");
    }
    browser.post(LOGIN_FINISH, answer).await.expect_problem(400, "ceremony_not_found");
    assert_eq!(count(&app, "sessions").await, before + 1);
}

/// T-WA-05, G03: for five minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_good_for_five_minutes() {
    let app = TestApp::new().await;
    let (_, mut passkey) = user_with_passkey(&app, ADA).await;
    for (wait, status) in [(FIVE_MINUTES, 400), (Duration::from_secs(299), 200)] {
        let browser = app.browser();
        let challenge = start_login(&browser).await;
        let cookie = browser.cookie(CEREMONY).unwrap();
        let answer = answer_to(&challenge, &passkey.get(&challenge["public_key"]));
        app.advance(wait);
        browser.set_cookie(CEREMONY, &cookie);
        browser.post(LOGIN_FINISH, answer).await.expect(status);
    }
}

/// The session that the browser had ends, whoever's it was.
#[tokio::test(flavor = "multi_thread")]
async fn signing_in_ends_the_session_before() {
    let app = TestApp::new().await;
    let (_, mut passkey) = user_with_passkey(&app, ADA).await;
    let browser = signed_in(&app, BOB).await;
    let before = browser.cookie(SESSION).unwrap();
    try_passkey(&browser, &mut passkey).await.expect(200);
    let after = browser.cookie(SESSION).unwrap();
    assert_eq!(browser.get("/api/users/@me").await.expect(200).json()["email"], ADA);
    browser.set_cookie(SESSION, &before);
    browser.get("/api/users/@me").await.expect(401);
    assert_ne!(before, after);
}

/// The part of T-WA-01 that an authenticator in software shows: what is said of backups is stored and told.
#[tokio::test(flavor = "multi_thread")]
async fn a_synchronised_passkey_is_known_as_one() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let mut passkey = Authenticator::new(&app.origin());
    passkey.backup = (true, true);
    passkey.is_counting = false;
    let shown = add(&app, &browser, &mut passkey).await;
    assert_eq!((&shown["is_backup_eligible"], &shown["is_backed_up"]), (&json!(true), &json!(true)), "{shown}");
    // 0 after 0 is no counter that went back.
    for _ in 0..2 {
        let login = try_passkey(&app.browser(), &mut passkey).await.expect(200).json();
        assert_eq!(login["session"]["amr"], json!(["swk", "user", "mfa"]));
    }
}

/// T-WA-09: whether it may be copied is fixed; whether it is may change, and is stored.
#[tokio::test(flavor = "multi_thread")]
async fn backup_eligibility_does_not_change() {
    let app = TestApp::new().await;
    for (email, is_eligible) in [(ADA, false), (BOB, true)] {
        let browser = signed_in(&app, email).await;
        let mut passkey = Authenticator::new(&app.origin());
        passkey.backup = (is_eligible, false);
        // Not between the two answers of its registration either.
        let verification = offer(&browser, &mut passkey).await;
        let mut flipped = passkey.clone();
        flipped.backup = (!is_eligible, false);
        let credential = flipped.get(&verification["public_key"]);
        browser.post(PASSKEYS, answer_to(&verification, &credential)).await.expect_problem(400, "invalid_passkey");

        add(&app, &browser, &mut passkey).await;
        passkey.backup = (!is_eligible, false);
        try_passkey(&app.browser(), &mut passkey).await.expect_problem(400, "invalid_passkey");
        passkey.backup = (is_eligible, is_eligible);
        try_passkey(&app.browser(), &mut passkey).await.expect(200);
        let shown = passkeys(&browser).await[0].clone();
        assert_eq!(
            (&shown["is_backup_eligible"], &shown["is_backed_up"]),
            (&json!(is_eligible), &json!(is_eligible)),
            "{shown}"
        );
    }
}
