//! Sign-ins with a passkey that are refused.

use harness::{Authenticator, Settings, TestApp};
use serde_json::{Value, json};
use shared::users;

use super::{
    ADA, BOB, LOGIN_FINISH, LOGIN_START, SESSION, answer_to, count, move_to_corp, refuse_lies, refused_for,
    start_login, try_passkey, user_with_passkey, with_lockout, with_sso,
};

/// T-WA-02, T-WA-04: whatever an authenticator or the client around it lies about.
#[tokio::test(flavor = "multi_thread")]
async fn no_lie_signs_in() {
    let app = TestApp::new().await;
    let (_, passkey) = user_with_passkey(&app, ADA).await;
    let sessions = count(&app, "sessions").await;
    refuse_lies(&app, &passkey).await;
    let mut liar = passkey.clone();
    liar.client_data = json!({ "type": "webauthn.create" });
    try_passkey(&app.browser(), &mut liar).await.expect_problem(400, "invalid_passkey");
    assert_eq!((count(&app, "sessions").await, count(&app, "passkey_ceremonies").await), (sessions, 0));
    // The stored counter has not moved: the honest one is still ahead of it.
    try_passkey(&app.browser(), &mut passkey.clone()).await.expect(200);
}

/// T-WA-05, G03: a wrong answer uses the challenge up.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_answer_uses_the_challenge_up() {
    let app = TestApp::new().await;
    let (_, mut passkey) = user_with_passkey(&app, ADA).await;
    let browser = app.browser();
    let challenge = start_login(&browser).await;
    let right = passkey.get(&challenge["public_key"]);
    let mut wrong = right.clone();
    let signature = wrong["response"]["signature"].as_str().unwrap();
    let mut bytes = shared::secret::decode(signature).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    wrong["response"]["signature"] = json!(shared::secret::encode(&bytes));
    browser.post(LOGIN_FINISH, answer_to(&challenge, &wrong)).await.expect_problem(400, "invalid_passkey");
    browser.post(LOGIN_FINISH, answer_to(&challenge, &right)).await.expect_problem(400, "ceremony_not_found");
}

/// Answers that are no credentials at all.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_credential_is_refused() {
    let app = TestApp::new().await;
    let (_, mut passkey) = user_with_passkey(&app, ADA).await;
    let browser = app.browser();
    let mut spoil = async |change: fn(&mut Value)| {
        let challenge = start_login(&browser).await;
        let mut credential = passkey.get(&challenge["public_key"]);
        change(&mut credential);
        browser.post(LOGIN_FINISH, answer_to(&challenge, &credential)).await.expect_problem(400, "invalid_passkey");
    };
    spoil(|credential| *credential = json!({})).await;
    spoil(|credential| credential["type"] = json!("password")).await;
    spoil(|credential| credential["id"] = json!("AAAA")).await;
    spoil(|credential| credential["rawId"] = json!("not base64!")).await;
    spoil(|credential| credential["response"] = json!([])).await;
    spoil(|credential| credential["response"]["clientDataJSON"] = json!("")).await;
    spoil(|credential| credential["response"]["authenticatorData"] = json!("AAAA")).await;
    spoil(|credential| credential["response"]["signature"] = json!("")).await;
    let challenge = start_login(&browser).await;
    let body = json!({ "ceremony_id": challenge["ceremony_id"], "credential": "x" });
    browser.post(LOGIN_FINISH, body).await.expect_problem(422, "validation_failed");
}

/// G07, T-WA-07, W03: the handle is unsigned input; the owner is known by the credential, and the two must agree.
#[tokio::test(flavor = "multi_thread")]
async fn the_user_handle_of_another_user_is_refused() {
    let app = TestApp::new().await;
    let (_, ada) = user_with_passkey(&app, ADA).await;
    let (_, bob) = user_with_passkey(&app, BOB).await;
    let sessions = count(&app, "sessions").await;
    // The key of B with the handle of A, the id of A with the key of B, and no handle.
    let mut handle = bob.clone();
    handle.user_handle.clone_from(&ada.user_handle);
    let mut key = bob.clone();
    key.id.clone_from(&ada.id);
    key.user_handle.clone_from(&ada.user_handle);
    let mut none = bob.clone();
    none.user_handle = Vec::new();
    for mut liar in [handle, key, none] {
        try_passkey(&app.browser(), &mut liar).await.expect_problem(400, "invalid_passkey");
    }
    assert_eq!((refused_for(&app, "user_handle").await, refused_for(&app, "assertion").await), (2, 1));
    let mut unknown = Authenticator::new(&app.origin());
    unknown.user_handle.clone_from(&ada.user_handle);
    try_passkey(&app.browser(), &mut unknown).await.expect_problem(400, "invalid_passkey");
    assert_eq!(refused_for(&app, "unknown").await, 1);
    assert_eq!(count(&app, "sessions").await, sessions);
}

/// G08, W03: single sign-on is demanded of the credential's owner, and of nobody whom the client names.
#[tokio::test(flavor = "multi_thread")]
async fn single_sign_on_is_demanded_of_the_owner() {
    let app = TestApp::with(with_sso()).await;
    let (_, mut ada) = user_with_passkey(&app, ADA).await;
    let (_, mut bob) = user_with_passkey(&app, BOB).await;
    move_to_corp(&app, ADA).await;
    let sessions = count(&app, "sessions").await;
    let answer = try_passkey(&app.browser(), &mut ada).await;
    let problem = answer.expect_problem(403, "sso_enforced");
    assert!(problem["detail"].as_str().unwrap().contains("saml"), "{problem}");
    assert_eq!(answer.set_cookie(SESSION), None);
    // Nobody learns of it who has not the key.
    let mut liar = ada.clone();
    liar.is_verifying = false;
    try_passkey(&app.browser(), &mut liar).await.expect_problem(400, "invalid_passkey");
    assert_eq!(count(&app, "sessions").await, sessions);
    try_passkey(&app.browser(), &mut bob).await.expect(200);
}

/// Disabled users, like unknown passkeys.
#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_owner_is_refused_like_nobody() {
    let app = TestApp::new().await;
    let (_, mut passkey) = user_with_passkey(&app, ADA).await;
    users::disable(&app.kernel, app.user(ADA).await.id).await.unwrap();
    let disabled = try_passkey(&app.browser(), &mut passkey).await;
    disabled.expect_problem(400, "invalid_passkey");
    let unknown = try_passkey(&app.browser(), &mut Authenticator::new(&app.origin())).await;
    assert_eq!(disabled.fingerprint(), unknown.fingerprint());
}

/// An address that is not proven has to be proven first, as with a password.
#[tokio::test(flavor = "multi_thread")]
async fn an_unproven_address_has_to_be_proven() {
    let app = TestApp::new().await;
    let (_, mut passkey) = user_with_passkey(&app, ADA).await;
    app.execute("UPDATE users SET email_verified_at = NULL").await;
    let answer = try_passkey(&app.browser(), &mut passkey).await.expect(200);
    assert_eq!(answer.json(), json!({ "status": "email_verification_required" }));
    assert_eq!(answer.set_cookie(SESSION), None);
    app.drain().await;
    let code = harness::code_in(&app.mail_to(ADA).await.text);
    let proof = json!({ "email": ADA, "code": code });
    app.browser().post("/api/email_verification/confirm", proof).await.expect(200);
    try_passkey(&app.browser(), &mut passkey).await.expect(200);
}

/// G09, T-WA-08: refused, audited, and mailed to the owner; nothing is stored of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_went_back_is_refused() {
    let app = TestApp::new().await;
    let (_, mut passkey) = user_with_passkey(&app, ADA).await;
    let mut clone = passkey.clone();
    for _ in 0..3 {
        try_passkey(&app.browser(), &mut passkey).await.expect(200);
    }
    app.drain().await;
    let mails = app.count_mails(ADA).await;
    let stored = app.number("SELECT sign_count AS number FROM passkeys").await;
    try_passkey(&app.browser(), &mut clone).await.expect_problem(400, "invalid_passkey");
    app.drain().await;
    assert_eq!(app.count_mails(ADA).await, mails + 1);
    assert_eq!(app.mail_to(ADA).await.subject, "A passkey of your account was refused");
    assert_eq!(refused_for(&app, "sign_count").await, 1);
    assert_eq!(app.number("SELECT sign_count AS number FROM passkeys").await, stored);
    // Back to zero is back, too.
    let mut restored = passkey.clone();
    restored.reset_counter();
    restored.is_counting = false;
    try_passkey(&app.browser(), &mut restored).await.expect_problem(400, "invalid_passkey");
    // Without the key nobody can cause such a mail.
    let mut forged = Authenticator::new(&app.origin());
    forged.id.clone_from(&passkey.id);
    forged.user_handle.clone_from(&passkey.user_handle);
    try_passkey(&app.browser(), &mut forged).await.expect_problem(400, "invalid_passkey");
    app.drain().await;
    assert_eq!(app.count_mails(ADA).await, mails + 2);
    try_passkey(&app.browser(), &mut passkey).await.expect(200);
}

/// A network begins so many sign-ins.
#[tokio::test(flavor = "multi_thread")]
async fn starts_are_limited() {
    let limit = shared::rate_limit::Limit { count: 3, per_seconds: 3600 };
    let app = TestApp::with(Settings::with(move |config| config.passkey.starts_per_network = limit)).await;
    let browser = app.browser();
    for _ in 0..3 {
        start_login(&browser).await;
    }
    let answer = browser.post(LOGIN_START, json!({})).await;
    answer.expect_problem(429, "throttled");
    assert!(answer.header("retry-after").is_some());
    start_login(&app.browser()).await;
}

/// G17, A17, W25: what names a decoy of an address is answered, counted and held off like what names a passkey of one, so that
/// neither says who has an account; whoever has the key learns that it is held off, and the owner is told.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_tells_a_decoy_from_a_passkey() {
    let app = TestApp::with(with_lockout()).await;
    let (_, mut ada) = user_with_passkey(&app, ADA).await;
    let stranger = app.browser_at("203.0.113.9");
    let mut seen = Vec::new();
    for email in [ADA, "nobody@lovelace.test"] {
        let told = stranger.post("/api/login/precheck", json!({ "email": email })).await.expect(200).json();
        let mut liar = Authenticator::new(&app.origin());
        liar.id = shared::secret::decode(told["passkeys"][0]["credential_id"].as_str().unwrap()).unwrap();
        let mut answers = Vec::new();
        for _ in 0..7 {
            let answer = try_passkey(&stranger, &mut liar).await;
            answer.expect_problem(400, "invalid_passkey");
            answers.push(answer.fingerprint());
        }
        let login = json!({ "email": email, "password": "wrong-fjord-wrong" });
        let password = stranger.post("/api/login", login).await;
        password.expect_problem(403, "too_many_failed_attempts");
        answers.push(password.fingerprint());
        seen.push(answers);
    }
    assert_eq!(seen[0], seen[1]);
    // An id that was never told of is nobody's: it is refused and holds nothing off.
    let mut unknown = Authenticator::new(&app.origin());
    try_passkey(&stranger, &mut unknown).await.expect_problem(400, "invalid_passkey");
    try_passkey(&stranger, &mut ada).await.expect_problem(403, "too_many_failed_attempts");
    try_passkey(&app.browser(), &mut ada).await.expect(200);
    app.drain().await;
    assert_eq!(app.mails_about(ADA, "Failed attempts to sign in to your account").await.len(), 1);
}

/// C19: a reset of an account that was not proven takes away what somebody else may have set up to sign in with.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_of_an_unproven_account_takes_its_passkeys_away() {
    let app = TestApp::new().await;
    let (browser, mut passkey) = user_with_passkey(&app, ADA).await;
    browser.enable_totp().await;
    for (is_proven, left) in [(true, 1), (false, 0)] {
        if !is_proven {
            app.execute("UPDATE users SET email_verified_at = NULL").await;
        }
        app.browser().post("/api/reset", json!({ "email": ADA })).await.expect(204);
        app.drain().await;
        let token = harness::token_in(&app.mail_to(ADA).await.text);
        let body = json!({ "token": token, "password": harness::OTHER_PASSWORD });
        app.browser().post("/api/reset/complete", body).await.expect(200);
        app.drain().await;
        assert_eq!((count(&app, "passkeys").await, count(&app, "totps").await), (left, left));
    }
    try_passkey(&app.browser(), &mut passkey).await.expect_problem(400, "invalid_passkey");
}
