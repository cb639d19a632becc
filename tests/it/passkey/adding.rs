//! Adding a passkey: a challenge, a new credential, and a first assertion of it.

use std::time::Duration;

use harness::{Authenticator, PASSWORD, Settings, TestApp};
use serde_json::json;

use super::{
    ADA, BOB, FIVE_MINUTES, LIES, LOGIN_START, Lie, PASSKEYS, START, add, answer_to, count, move_to_corp, offer,
    passkeys, prove_again, signed_in, start_login, try_passkey, user_with_passkey, with_sso,
};

/// G01, G02: what is offered, and what the authenticator learns of its user.
#[tokio::test(flavor = "multi_thread")]
async fn options_ask_for_a_discoverable_credential_that_verifies_its_user() {
    let app = TestApp::new().await;
    let (browser, passkey) = user_with_passkey(&app, ADA).await;
    let challenge = browser.post(START, json!({})).await.expect(200).json();
    let options = &challenge["public_key"];
    assert_eq!(options["rp"]["id"], "localhost");
    let selection = &options["authenticatorSelection"];
    assert_eq!((&selection["residentKey"], &selection["requireResidentKey"]), (&json!("required"), &json!(true)));
    assert_eq!(selection["userVerification"], "required");
    assert_eq!(options["timeout"], 300_000);
    assert_eq!(options["pubKeyCredParams"][0], json!({ "type": "public-key", "alg": -7 }));
    let excluded = options["excludeCredentials"].as_array().unwrap();
    assert_eq!(excluded.len(), 1);
    assert_eq!(excluded[0]["id"], shared::secret::encode(&passkey.id));

    // The user handle is random: it is not the user's id, and not made of the address.
    let handle = shared::secret::decode(options["user"]["id"].as_str().unwrap()).unwrap();
    assert_eq!(handle, passkey.user_handle);
    let handle = uuid::Uuid::from_slice(&handle).unwrap();
    assert_eq!(handle.get_version_num(), 4);
    assert_ne!(handle, app.user(ADA).await.id.0);
    let other = signed_in(&app, BOB).await.post(START, json!({})).await.expect(200).json();
    assert_ne!(other["public_key"]["user"]["id"], options["user"]["id"]);
}

/// G05, Q01: a credential that has not verified itself is neither listed nor usable, and nobody is told of it;
/// then its owner is told of it, and of the login with a device that was not used before.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_nothing_before_it_verified_itself() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let mails = app.count_mails(ADA).await;
    let mut passkey = Authenticator::new(&app.origin());
    let verification = offer(&browser, &mut passkey).await;
    assert_eq!(verification["public_key"]["userVerification"], "required");
    assert_eq!(verification["public_key"]["allowCredentials"][0]["id"], shared::secret::encode(&passkey.id));
    assert!(passkeys(&browser).await.is_empty());
    try_passkey(&app.browser(), &mut passkey).await.expect_problem(400, "invalid_passkey");
    app.drain().await;
    assert_eq!(app.count_mails(ADA).await, mails);

    let credential = passkey.get(&verification["public_key"]);
    let created = browser.post(PASSKEYS, answer_to(&verification, &credential)).await.expect(200).json();
    assert_eq!((&created["status"], created.get("verification")), (&json!("created"), None), "{created}");
    assert_eq!(passkeys(&browser).await, vec![created["passkey"].clone()]);
    try_passkey(&app.browser(), &mut passkey).await.expect(200);
    app.drain().await;
    assert_eq!(app.count_mails(ADA).await, mails + 2);
    assert_eq!(app.mails_about(ADA, "New sign-in to your account").await.len(), 1);
}

/// G04, T-WA-02, T-WA-04: in the first answer, and in the one that verifies the credential.
#[tokio::test(flavor = "multi_thread")]
async fn no_lie_adds_a_passkey() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    for (what, lie) in LIES {
        let mut passkey = Authenticator::new(&app.origin());
        lie(&mut passkey);
        let challenge = browser.post(START, json!({})).await.expect(200).json();
        let credential = passkey.create(&challenge["public_key"]);
        let answer = browser.post(PASSKEYS, answer_to(&challenge, &credential)).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text);
        answer.expect_problem(400, "invalid_passkey");

        let mut passkey = Authenticator::new(&app.origin());
        let verification = offer(&browser, &mut passkey).await;
        lie(&mut passkey);
        let credential = passkey.get(&verification["public_key"]);
        let answer = browser.post(PASSKEYS, answer_to(&verification, &credential)).await;
        assert_eq!(answer.status, 400, "{what}, verifying: {}", answer.text);
        answer.expect_problem(400, "invalid_passkey");
        assert_eq!((count(&app, "passkeys").await, count(&app, "passkey_ceremonies").await), (0, 0), "{what}");
    }
    let failures = shared::audit::list(app.kernel.db.reader(), "passkey.add", 1000).await.unwrap();
    assert_eq!(failures.iter().filter(|row| row.outcome == "failure").count(), 2 * LIES.len());
}

/// T-WA-03, T-WA-06, G04: algorithm, format, types and identifiers that were not asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_was_not_asked_for_is_refused() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let lies: [Lie; 8] = [
        ("RS256 with a key of P-256", |passkey| passkey.algorithm = -257),
        ("EdDSA with a key of P-256", |passkey| passkey.algorithm = -8),
        ("an algorithm that was not offered", |passkey| passkey.algorithm = -36),
        ("a packed attestation without its statement", |passkey| passkey.format = "packed"),
        ("an attestation of U2F", |passkey| passkey.format = "fido-u2f"),
        ("an unknown attestation", |passkey| passkey.format = "made-up"),
        ("the wrong ceremony", |passkey| passkey.client_data = json!({ "type": "webauthn.get" })),
        ("an id of 1024 bytes", |passkey| passkey.id = vec![7; 1024]),
    ];
    for (what, lie) in lies {
        let mut passkey = Authenticator::new(&app.origin());
        lie(&mut passkey);
        let challenge = browser.post(START, json!({})).await.expect(200).json();
        let credential = passkey.create(&challenge["public_key"]);
        let answer = browser.post(PASSKEYS, answer_to(&challenge, &credential)).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text);
        answer.expect_problem(400, "invalid_passkey");
    }
    let challenge = browser.post(START, json!({})).await.expect(200).json();
    let mut credential = Authenticator::new(&app.origin()).create(&challenge["public_key"]);
    credential["rawId"] = json!(shared::secret::encode(&[9; 32]));
    credential["id"] = credential["rawId"].clone();
    browser.post(PASSKEYS, answer_to(&challenge, &credential)).await.expect_problem(400, "invalid_passkey");
    assert_eq!(count(&app, "passkeys").await, 0);

    // The new key verifies itself with another key's signature.
    let (mut passkey, mut other) = (Authenticator::new(&app.origin()), Authenticator::new(&app.origin()));
    let verification = offer(&browser, &mut passkey).await;
    other.id.clone_from(&passkey.id);
    other.user_handle.clone_from(&passkey.user_handle);
    let credential = other.get(&verification["public_key"]);
    browser.post(PASSKEYS, answer_to(&verification, &credential)).await.expect_problem(400, "invalid_passkey");
    assert_eq!(count(&app, "passkeys").await, 0);
}

/// T-WA-06: 1023 bytes are an id.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_identifier_is_kept() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let mut passkey = Authenticator::new(&app.origin());
    passkey.id = vec![7; 1023];
    add(&app, &browser, &mut passkey).await;
    try_passkey(&app.browser(), &mut passkey).await.expect(200);
}

/// G03, T-WA-05: a challenge is for one answer, even a wrong one, for five minutes, in one session of one user.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_for_one_answer_in_one_session() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let passkey = || Authenticator::new(&app.origin());
    let not_found = "ceremony_not_found";

    // After a wrong answer the right one comes too late.
    let challenge = browser.post(START, json!({})).await.expect(200).json();
    let mut liar = passkey();
    liar.is_verifying = false;
    let wrong = answer_to(&challenge, &liar.create(&challenge["public_key"]));
    let right = answer_to(&challenge, &passkey().create(&challenge["public_key"]));
    browser.post(PASSKEYS, wrong).await.expect_problem(400, "invalid_passkey");
    browser.post(PASSKEYS, right).await.expect_problem(400, not_found);

    // Another session of the same user and another user do not have it, and do not use it up.
    let challenge = browser.post(START, json!({})).await.expect(200).json();
    let right = answer_to(&challenge, &passkey().create(&challenge["public_key"]));
    let again = app.browser();
    again.log_in(ADA, PASSWORD).await;
    again.post(PASSKEYS, right.clone()).await.expect_problem(400, not_found);
    signed_in(&app, BOB).await.post(PASSKEYS, right.clone()).await.expect_problem(400, not_found);
    browser.post(PASSKEYS, right).await.expect(200);

    // Too late by a second, and in time.
    for (wait, status) in [(FIVE_MINUTES, 400), (Duration::from_secs(299), 200)] {
        prove_again(&browser).await;
        let challenge = browser.post(START, json!({})).await.expect(200).json();
        let answer = answer_to(&challenge, &passkey().create(&challenge["public_key"]));
        app.advance(wait);
        browser.post(PASSKEYS, answer).await.expect(status);
    }

    // Twenty at once.
    prove_again(&browser).await;
    let mut new_passkey = passkey();
    let verification = offer(&browser, &mut new_passkey).await;
    let answer = answer_to(&verification, &new_passkey.get(&verification["public_key"]));
    let answers = futures_util::future::join_all((0..20).map(|_| browser.post(PASSKEYS, answer.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.expect_problem(400, not_found);
    }
    assert_eq!(count(&app, "passkeys").await, 1);
    app.drain().await;
}

/// T-WA-05: challenges that nobody answered are swept away.
#[tokio::test(flavor = "multi_thread")]
async fn challenges_that_are_over_are_swept() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    browser.post(START, json!({})).await.expect(200);
    app.advance(FIVE_MINUTES + Duration::from_secs(1));
    start_login(&browser).await;
    let tx = app.kernel.db.write_tx().await.unwrap();
    let job = shared::passkey::SweepPasskeyCeremonies { window: 1 };
    shared::jobs::enqueue(&tx, app.kernel.clock.as_ref(), &job).await.unwrap();
    tx.commit().await.unwrap();
    app.drain().await;
    assert_eq!(count(&app, "passkey_ceremonies").await, 1);
}

/// G10: neither begun nor finished where a provider is demanded.
#[tokio::test(flavor = "multi_thread")]
async fn users_of_an_enforced_domain_add_no_passkey() {
    let app = TestApp::with(with_sso()).await;
    let browser = signed_in(&app, ADA).await;
    let mut passkey = Authenticator::new(&app.origin());
    let challenge = browser.post(START, json!({})).await.expect(200).json();
    let verification = offer(&browser, &mut passkey).await;
    move_to_corp(&app, ADA).await;
    // Another gateway has not cached the user.
    let gateway = app.another_gateway().await;
    let browser = browser.through(&gateway);
    browser.post(START, json!({})).await.expect_problem(403, "sso_enforced");
    let credential = Authenticator::new(&app.origin()).create(&challenge["public_key"]);
    browser.post(PASSKEYS, answer_to(&challenge, &credential)).await.expect_problem(403, "sso_enforced");
    let credential = passkey.get(&verification["public_key"]);
    browser.post(PASSKEYS, answer_to(&verification, &credential)).await.expect_problem(403, "sso_enforced");
    assert_eq!(count(&app, "passkeys").await, 0);
}

/// G11, T-WA-06: by the same user, by another one, and by two at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_registered_once() {
    let app = TestApp::new().await;
    let (ada, passkey) = user_with_passkey(&app, ADA).await;
    let bob = signed_in(&app, BOB).await;
    for (browser, status, code) in [(&ada, 400, "invalid_passkey"), (&bob, 409, "passkey_exists")] {
        // A key of its own that claims the id.
        let mut thief = Authenticator::new(&app.origin());
        thief.id.clone_from(&passkey.id);
        let challenge = browser.post(START, json!({})).await.expect(200).json();
        let credential = thief.create(&challenge["public_key"]);
        browser.post(PASSKEYS, answer_to(&challenge, &credential)).await.expect_problem(status, code);
    }
    // Both have offered it before either has verified it.
    let mut mine = Authenticator::new(&app.origin());
    let mut yours = mine.clone();
    let (verify_mine, verify_yours) = (offer(&ada, &mut mine).await, offer(&bob, &mut yours).await);
    let credential = mine.get(&verify_mine["public_key"]);
    ada.post(PASSKEYS, answer_to(&verify_mine, &credential)).await.expect(200);
    let credential = yours.get(&verify_yours["public_key"]);
    bob.post(PASSKEYS, answer_to(&verify_yours, &credential)).await.expect_problem(409, "passkey_exists");
    assert!(passkeys(&bob).await.is_empty());
    app.drain().await;
}

/// G13, W15: with a recent proof of identity only; the owner is told by mail.
#[tokio::test(flavor = "multi_thread")]
async fn adding_needs_a_recent_proof_and_is_told() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    app.advance(FIVE_MINUTES);
    browser.post(START, json!({})).await.expect_problem(403, "sensitive_action_required_reauth");
    prove_again(&browser).await;
    add(&app, &browser, &mut Authenticator::new(&app.origin())).await;
    let mail = app.mail_to(ADA).await;
    assert_eq!(mail.subject, "A passkey was added to your account");
    assert!(
        mail.text.contains("Firefox on Linux") && mail.text.contains("http://localhost:8080/reset"),
        "{}",
        mail.text
    );
    let added = shared::audit::list(app.kernel.db.reader(), "passkey.add", 10).await.unwrap();
    assert_eq!((added.len(), added[0].outcome.as_str()), (1, "success"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_a_limited_number_of_passkeys() {
    let app = TestApp::with(Settings::with(|config| config.passkey.max_per_user = 2)).await;
    let browser = signed_in(&app, ADA).await;
    let mut third = Authenticator::new(&app.origin());
    let verification = offer(&browser, &mut third).await;
    for _ in 0..2 {
        add(&app, &browser, &mut Authenticator::new(&app.origin())).await;
    }
    browser.post(START, json!({})).await.expect_problem(409, "too_many_passkeys");
    let credential = third.get(&verification["public_key"]);
    browser.post(PASSKEYS, answer_to(&verification, &credential)).await.expect_problem(409, "too_many_passkeys");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_without_a_domain_name_has_no_passkeys() {
    let address = Settings::with(|config| config.http.public_url = "http://127.0.0.1:8080".parse().expect("a URL"));
    let app = TestApp::with(address).await;
    let browser = signed_in(&app, ADA).await;
    browser.post(START, json!({})).await.expect_problem(403, "passkeys_not_available");
    browser.post(LOGIN_START, json!({})).await.expect_problem(403, "passkeys_not_available");
}
