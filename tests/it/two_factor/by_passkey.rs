//! Passkeys as second factor: who may ask for it, whose passkey passes, and what turning it on and off means.

use futures_util::future::join_all;
use harness::{Authenticator, Settings, UNLIMITED};
use serde_json::Map;
use shared::config::load_from;

use super::{ADA, Answer, BOB, Caller, Duration, PASSWORD, SESSION, STEP, TestApp, Value, audit, json, offer};
use crate::passkey::{add, signed_in, try_passkey};

const FACTORS: &str = "/api/users/@me/two_factor";
const START: &str = "/api/login/two_factor/passkey";
const PASSKEYS: &str = "/api/users/@me/passkeys";

async fn switch(browser: &Caller<'_>, is_on: bool) -> Answer {
    browser.patch(FACTORS, json!({ "passkeys_enabled_for_2fa": is_on })).await
}

/// A user whose passkey is the only second factor; the backup codes too.
async fn with_passkey_factor<'a>(app: &'a TestApp, email: &str) -> (Caller<'a>, Authenticator, Vec<String>) {
    let browser = signed_in(app, email).await;
    let mut passkey = Authenticator::new(&app.origin());
    add(app, &browser, &mut passkey).await;
    let updated = switch(&browser, true).await.expect(200).json();
    app.drain().await;
    (browser, passkey, serde_json::from_value(updated["backup_codes"].clone()).unwrap())
}

async fn challenge(browser: &Caller<'_>, pending: &Value) -> Value {
    browser.post(START, json!({ "login_id": pending["login_id"] })).await.expect(200).json()
}

async fn answer(browser: &Caller<'_>, pending: &Value, challenge: &Value, credential: &Value) -> Answer {
    let passkey = json!({ "ceremony_id": challenge["ceremony_id"], "credential": credential });
    browser.post(STEP, json!({ "login_id": pending["login_id"], "passkey": passkey })).await
}

async fn pass(browser: &Caller<'_>, pending: &Value, passkey: &mut Authenticator) -> Answer {
    let challenge = challenge(browser, pending).await;
    let credential = passkey.get(&challenge["public_key"]);
    answer(browser, pending, &challenge, &credential).await
}

/// G15, T-WA-11: without a passkey there is nothing to turn on; without turning it on a passkey is no second factor.
#[tokio::test(flavor = "multi_thread")]
async fn passkeys_are_a_second_factor_only_where_their_owner_said_so() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    switch(&browser, true).await.expect_problem(409, "no_passkeys");
    let mut passkey = Authenticator::new(&app.origin());
    add(&app, &browser, &mut passkey).await;
    let status = browser.get(FACTORS).await.expect(200).json();
    assert_eq!((&status["is_enabled"], &status["passkeys_enabled_for_2fa"]), (&json!(false), &json!(false)));
    let other = app.browser();
    let pending = other.begin_login(ADA, PASSWORD).await;
    other.post(START, json!({ "login_id": pending["login_id"] })).await.expect_problem(400, "login_not_found");

    let updated = switch(&browser, true).await.expect(200).json();
    assert_eq!(updated["two_factor"]["methods"], json!(["passkey", "backup_code"]));
    assert_eq!(updated["backup_codes"].as_array().unwrap().len(), 10);
    app.drain().await;
    assert_eq!(app.mail_to(ADA).await.subject, "Two-factor authentication with passkeys is on");
    // From now on this session would have to prove the second factor.
    switch(&browser, true).await.expect_problem(403, "sensitive_action_required_reauth");

    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    assert_eq!(pending["methods"], json!(["passkey", "backup_code"]));
    let login = pass(&browser, &pending, &mut passkey).await.expect(200).json();
    assert_eq!(login["session"]["amr"], json!(["pwd", "hwk", "user", "mfa"]));
    assert_eq!(browser.get("/api/users/@me").await.expect(200).json()["email"], ADA);
    let again = switch(&browser, true).await.expect(200).json();
    assert_eq!(again.get("backup_codes"), None, "{again}");
    app.drain().await;
    // By itself it signs in as before, and that counts as both factors.
    let login = try_passkey(&app.browser(), &mut passkey).await.expect(200).json();
    assert_eq!(login["session"]["amr"], json!(["hwk", "user", "mfa"]));
}

/// T-WA-11: an authenticator that did not verify its user passes neither as second factor nor as login.
#[tokio::test(flavor = "multi_thread")]
async fn presence_alone_is_no_second_factor() {
    let app = TestApp::new().await;
    let (_, mut passkey, _) = with_passkey_factor(&app, ADA).await;
    passkey.is_verifying = false;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    pass(&browser, &pending, &mut passkey).await.expect_problem(400, "invalid_passkey");
    try_passkey(&app.browser(), &mut passkey).await.expect_problem(400, "invalid_passkey");
    browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    passkey.is_verifying = true;
    pass(&browser, &pending, &mut passkey).await.expect(200);
}

/// G16, T-WA-07: the passkey of another user, with or without the handle of the pending one, is refused.
#[tokio::test(flavor = "multi_thread")]
async fn only_passkeys_of_the_pending_user_pass() {
    let app = TestApp::new().await;
    let (_, ada, _) = with_passkey_factor(&app, ADA).await;
    let (_, bob, _) = with_passkey_factor(&app, BOB).await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let begun = challenge(&browser, &pending).await;
    let ids: Vec<_> =
        begun["public_key"]["allowCredentials"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!(shared::secret::encode(&ada.id))], "{begun}");
    assert_eq!(begun["public_key"]["userVerification"], "required");
    let mut handle = bob.clone();
    handle.user_handle.clone_from(&ada.user_handle);
    let mut key = bob.clone();
    key.id.clone_from(&ada.id);
    let mut unknown = Authenticator::new(&app.origin());
    unknown.user_handle.clone_from(&ada.user_handle);
    let mut wrong_handle = ada.clone();
    wrong_handle.user_handle.clone_from(&bob.user_handle);
    for mut liar in [bob.clone(), handle, key, unknown, wrong_handle] {
        pass(&browser, &pending, &mut liar).await.expect_problem(400, "invalid_passkey");
    }
    browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    // Authenticators leave the handle out when they are told which credential to use.
    let mut without_handle = ada.clone();
    without_handle.user_handle = Vec::new();
    pass(&browser, &pending, &mut without_handle).await.expect(200);
}

/// G03, T-WA-05: a challenge is for one answer in one pending login, also when the answer is wrong, and not for a sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_for_one_answer_in_one_pending_login() {
    let app = TestApp::new().await;
    let (_, mut passkey, _) = with_passkey_factor(&app, ADA).await;
    let (browser, other) = (app.browser(), app.browser());
    let (pending, elsewhere) = (browser.begin_two_factor(ADA).await, other.begin_two_factor(ADA).await);
    other.post(START, json!({ "login_id": pending["login_id"] })).await.expect_problem(400, "login_not_found");
    let begun = challenge(&browser, &pending).await;
    let right = passkey.get(&begun["public_key"]);
    answer(&other, &elsewhere, &begun, &right).await.expect_problem(400, "ceremony_not_found");
    let finish = json!({ "ceremony_id": begun["ceremony_id"], "credential": right });
    try_passkey(&other, &mut passkey.clone()).await.expect(200);
    other.post("/api/login/passkey/finish", finish).await.expect_problem(400, "ceremony_not_found");
    // What was not this login's counts neither as its try nor as a failure.
    assert_eq!(app.number("SELECT SUM(attempts) AS number FROM logins WHERE state = 'two_factor'").await, 0);

    let mut liar = passkey.clone();
    liar.origin = "http://evil.example".to_owned();
    let wrong = liar.get(&begun["public_key"]);
    answer(&browser, &pending, &begun, &wrong).await.expect_problem(400, "invalid_passkey");
    answer(&browser, &pending, &begun, &right).await.expect_problem(400, "ceremony_not_found");
    let begun = challenge(&browser, &pending).await;
    app.advance(Duration::from_secs(300));
    answer(&browser, &pending, &begun, &passkey.get(&begun["public_key"]))
        .await
        .expect_problem(400, "ceremony_not_found");
    app.advance(Duration::from_secs(301));
    browser.post(START, json!({ "login_id": pending["login_id"] })).await.expect_problem(400, "login_expired");
}

/// G03: of twenty equal answers at once one signs in.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_passes_once() {
    let app = TestApp::new().await;
    let (_, mut passkey, _) = with_passkey_factor(&app, ADA).await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let begun = challenge(&browser, &pending).await;
    let right = passkey.get(&begun["public_key"]);
    let answers = join_all((0..20).map(|_| answer(&browser, &pending, &begun, &right))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(answers.iter().all(|answer| [200, 400].contains(&answer.status)));
}

/// G09: as second factor too, a counter that went back is refused, and its owner told.
#[tokio::test(flavor = "multi_thread")]
async fn a_copied_key_is_refused_as_second_factor() {
    let app = TestApp::new().await;
    let (_, mut passkey, _) = with_passkey_factor(&app, ADA).await;
    let mut copy = passkey.clone();
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    // Its challenge was made before the owner used the key: what counts is the counter of now.
    let begun = challenge(&browser, &pending).await;
    for _ in 0..2 {
        try_passkey(&app.browser(), &mut passkey).await.expect(200);
    }
    app.drain().await;
    answer(&browser, &pending, &begun, &copy.get(&begun["public_key"])).await.expect_problem(400, "invalid_passkey");
    app.drain().await;
    assert_eq!(app.mail_to(ADA).await.subject, "A passkey of your account was refused");
    pass(&browser, &pending, &mut passkey).await.expect(200);
}

/// H06, H07: ten wrong answers end the pending login, whatever they were.
#[tokio::test(flavor = "multi_thread")]
async fn ten_wrong_answers_end_the_login() {
    let app = TestApp::new().await;
    let (_, mut passkey, _) = with_passkey_factor(&app, ADA).await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let mut liar = passkey.clone();
    liar.is_present = false;
    for _ in 0..9 {
        pass(&browser, &pending, &mut liar).await.expect_problem(400, "invalid_passkey");
    }
    let last = challenge(&browser, &pending).await;
    let wrong = liar.get(&last["public_key"]);
    answer(&browser, &pending, &last, &wrong).await.expect_problem(429, "too_many_attempts");
    browser.post(START, json!({ "login_id": pending["login_id"] })).await.expect_problem(429, "too_many_attempts");
    let pending = browser.begin_two_factor(ADA).await;
    pass(&browser, &pending, &mut passkey).await.expect(200);
}

/// I05, W13: who has passkeys as their only second factor has backup codes, which pass and can be made anew.
#[tokio::test(flavor = "multi_thread")]
async fn backup_codes_stand_in_for_a_passkey() {
    let app = TestApp::new().await;
    let (_, mut passkey, codes) = with_passkey_factor(&app, ADA).await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let proof = json!({ "login_id": pending["login_id"], "backup_code": codes[0] });
    let login = browser.post(STEP, proof).await.expect(200).json();
    assert_eq!(login["session"]["amr"], json!(["pwd", "otp", "mfa"]));
    app.drain().await;
    let told = app.mails_about(ADA, "A backup code was used").await;
    assert!(told.len() == 1 && told[0].text.contains('9'), "{told:?}");
    let fresh = browser.post(&format!("{FACTORS}/backup_codes"), json!({})).await.expect(200).json();
    let pending = browser.begin_two_factor(ADA).await;
    let void = json!({ "login_id": pending["login_id"], "backup_code": codes[1] });
    browser.post(STEP, void).await.expect_problem(401, "invalid_code");
    let proof = json!({ "login_id": pending["login_id"], "backup_code": fresh["backup_codes"][0] });
    browser.post(STEP, proof).await.expect(200);
    app.drain().await;
    pass(&browser, &browser.begin_two_factor(ADA).await, &mut passkey).await.expect(200);
}

/// G14, F08, K05, O11: turning it off needs the second factor and a fresh proof, ends what was held elsewhere, is told,
/// and takes the backup codes of the last factor along.
#[tokio::test(flavor = "multi_thread")]
async fn turning_passkeys_off_is_a_change_of_factors() {
    let app = TestApp::new().await;
    let (_, mut passkey, _) = with_passkey_factor(&app, ADA).await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let begun = challenge(&browser, &pending).await;
    let proof = json!({ "ceremony_id": begun["ceremony_id"], "credential": passkey.get(&begun["public_key"]) });
    let body = json!({ "login_id": pending["login_id"], "passkey": proof, "remember_device": true });
    browser.post(STEP, body).await.expect(200);
    // K02: a browser that is remembered for passkeys skips the step; its session has one factor.
    let login = browser.post("/api/login", json!({ "email": ADA, "password": PASSWORD })).await.expect(200).json();
    assert_eq!(login["session"]["amr"], json!(["pwd"]));
    switch(&browser, false).await.expect_problem(403, "sensitive_action_required_reauth");
    let id = browser.get(PASSKEYS).await.expect(200).json()["items"][0]["id"].as_str().unwrap().to_owned();
    let remove = format!("{PASSKEYS}/{id}");
    browser.delete(&remove).await.expect_problem(403, "sensitive_action_required_reauth");
    // A further passkey would be a way around the second factor.
    browser.post(&format!("{PASSKEYS}/start"), json!({})).await.expect_problem(403, "sensitive_action_required_reauth");

    let owner = app.browser();
    try_passkey(&owner, &mut passkey).await.expect(200);
    app.drain().await;
    owner.delete(&remove).await.expect_problem(409, "last_second_factor");
    assert_eq!(owner.get(PASSKEYS).await.json()["items"].as_array().unwrap().len(), 1);
    app.advance(Duration::from_secs(301));
    switch(&owner, false).await.expect_problem(403, "sensitive_action_required_reauth");
    owner.post("/api/users/@me/reauthenticate", json!({ "password": PASSWORD })).await.expect(200);
    let updated = switch(&owner, false).await.expect(200).json();
    assert_eq!((&updated["two_factor"]["is_enabled"], updated.get("backup_codes")), (&json!(false), None));
    app.drain().await;
    assert_eq!(app.mail_to(ADA).await.subject, "Two-factor authentication with passkeys is off");
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM backup_codes").await, 0);
    browser.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    owner.get("/api/users/@me").await.expect(200);
    // The trust in the other browser has ended too: it is asked for the mailed code now.
    browser.begin_login(ADA, PASSWORD).await;
    for action in ["two_factor.enable_passkeys", "two_factor.disable_passkeys"] {
        assert_eq!(audit::list(app.kernel.db.reader(), action, 10).await.unwrap().len(), 1, "{action}");
    }
    owner.delete(&remove).await.expect(204);
    app.drain().await;
}

/// G14, K05: beside an app the last passkey can go; it takes its role as second factor along, and sessions elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn beside_an_app_the_last_passkey_can_go() {
    let app = TestApp::new().await;
    let (browser, _, _) = with_passkey_factor(&app, ADA).await;
    // The session was there before the first factor: it has to pass it once.
    browser.post("/api/users/@me/two_factor/totp/start", json!({})).await.expect(403);
    let (_, mut bob, _) = with_passkey_factor(&app, BOB).await;
    let browser = app.browser();
    try_passkey(&browser, &mut bob).await.expect(200);
    app.drain().await;
    let (authenticator, _) = browser.enable_totp().await;
    let elsewhere = app.browser();
    let pending = elsewhere.begin_two_factor(BOB).await;
    assert_eq!(pending["methods"], json!(["totp", "passkey", "backup_code"]));
    offer(&elsewhere, &pending, &authenticator.code(app.now())).await.expect(200);
    let id = browser.get(PASSKEYS).await.expect(200).json()["items"][0]["id"].as_str().unwrap().to_owned();
    browser.delete(&format!("{PASSKEYS}/{id}")).await.expect(204);
    app.drain().await;
    elsewhere.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    let status = browser.get(FACTORS).await.expect(200).json();
    assert_eq!(
        (&status["methods"], &status["passkeys_enabled_for_2fa"]),
        (&json!(["totp", "backup_code"]), &json!(false))
    );
    assert_eq!(elsewhere.begin_two_factor(BOB).await["methods"], json!(["totp", "backup_code"]));
}

/// H01: a client without cookies binds the challenge with its `login_token`.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_cookies_passes_with_a_passkey() {
    let app = TestApp::new().await;
    let (_, mut passkey, _) = with_passkey_factor(&app, ADA).await;
    let client = app.browser().plain();
    let credentials = json!({ "email": ADA, "password": PASSWORD, "session_transport": "token" });
    let pending = client.post("/api/login", credentials).await.expect(200).json()["two_factor"].clone();
    client.post(START, json!({ "login_id": pending["login_id"] })).await.expect_problem(400, "login_not_found");
    let mut body = Map::new();
    for name in ["login_id", "login_token"] {
        body.insert(name.to_owned(), pending[name].clone());
    }
    let begun = client.post(START, Value::Object(body.clone())).await.expect(200).json();
    let proof = json!({ "ceremony_id": begun["ceremony_id"], "credential": passkey.get(&begun["public_key"]) });
    body.insert("passkey".to_owned(), proof);
    let login = client.post(STEP, Value::Object(body)).await.expect(200);
    assert_eq!(login.set_cookie(SESSION), None);
    let session_token = login.json()["session"]["token"].as_str().unwrap().to_owned();
    app.browser().bearer(&session_token).get("/api/users/@me").await.expect(200);
}

/// With the limits that ship.
async fn limited() -> TestApp {
    TestApp::with(Settings::with(|config| {
        config.lockout = load_from(None, std::iter::empty()).expect("the defaults").lockout;
        config.login.per_network = UNLIMITED;
    }))
    .await
}

async fn fail_password(browser: &Caller<'_>, email: &str) -> Answer {
    browser.post("/api/login", json!({ "email": email, "password": "wrong-fjord-wrong" })).await
}

/// G17, P08, G08: refused assertions count for the owner of the credential, with the failures of all else, and hold both
/// off: from that client, and that owner's.
#[tokio::test(flavor = "multi_thread")]
async fn refused_assertions_count_toward_lockout() {
    let app = limited().await;
    let (_, mut ada, _) = with_passkey_factor(&app, ADA).await;
    let (_, mut bob, _) = with_passkey_factor(&app, BOB).await;
    let stranger = app.browser_at("203.0.113.9");
    let mut liar = ada.clone();
    liar.is_verifying = false;
    for _ in 0..2 {
        fail_password(&stranger, ADA).await.expect_problem(401, "invalid_credentials");
    }
    for _ in 0..3 {
        try_passkey(&stranger, &mut liar).await.expect_problem(400, "invalid_passkey");
    }
    // Five failures: the password is held off, and nothing is hashed.
    let hashes = app.hasher.computed();
    fail_password(&stranger, ADA).await.expect_problem(403, "too_many_failed_attempts");
    assert_eq!(app.hasher.computed(), hashes);
    app.drain().await;
    assert_eq!(app.mails_about(ADA, "Failed attempts to sign in to your account").await.len(), 1);
    // Five refused assertions hold the passkey off from there too, the right one included.
    for _ in 0..2 {
        try_passkey(&stranger, &mut liar).await.expect_problem(400, "invalid_passkey");
    }
    let refused = audit::list(app.kernel.db.reader(), "passkey.assert", 100).await.unwrap().len();
    try_passkey(&stranger, &mut ada.clone()).await.expect_problem(403, "too_many_failed_attempts");
    assert_eq!(audit::list(app.kernel.db.reader(), "passkey.assert", 100).await.unwrap().len(), refused);
    // Neither another owner there nor this owner elsewhere.
    try_passkey(&app.browser_at("203.0.113.9"), &mut bob).await.expect(200);
    try_passkey(&app.browser(), &mut ada).await.expect(200);
    app.advance(Duration::from_secs(1800));
    try_passkey(&app.browser_at("203.0.113.9"), &mut ada).await.expect(200);
    app.drain().await;
}

/// G17: as second factor as well.
#[tokio::test(flavor = "multi_thread")]
async fn refused_second_factors_count_toward_lockout() {
    let app = limited().await;
    let (_, passkey, _) = with_passkey_factor(&app, ADA).await;
    let stranger = app.browser_at("203.0.113.9");
    let pending = stranger.begin_two_factor(ADA).await;
    let mut liar = passkey.clone();
    liar.is_present = false;
    for _ in 0..5 {
        pass(&stranger, &pending, &mut liar).await.expect_problem(400, "invalid_passkey");
    }
    pass(&stranger, &pending, &mut passkey.clone()).await.expect_problem(403, "too_many_failed_attempts");
    fail_password(&stranger, ADA).await.expect_problem(403, "too_many_failed_attempts");
    // What was not verified is no try of the login.
    assert_eq!(app.number("SELECT MAX(attempts) AS number FROM logins WHERE state = 'two_factor'").await, 5);
    app.drain().await;
}

/// T-LOGIN-09, P05, G08: whoever guesses passwords keeps no passkey from signing its owner in: neither from everywhere, nor
/// from the owner's own network, nor so often that the password is disabled.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_passwords_never_keeps_the_owner_of_a_passkey_out() {
    let app = limited().await;
    let (_, mut passkey, _) = with_passkey_factor(&app, ADA).await;
    let neighbour = app.browser_at("203.0.113.9");
    for number in 0..1000_u32 {
        let from = format!("198.51.{}.{}", number / 250, number % 250);
        fail_password(&app.browser_at(&from), ADA).await;
        fail_password(&neighbour, ADA).await;
        if number % 50 == 0 {
            app.advance(Duration::from_secs(3600));
        }
    }
    fail_password(&app.browser(), ADA).await.expect_problem(403, "authenticator_disabled");
    try_passkey(&app.browser_at("203.0.113.9"), &mut passkey).await.expect(200);
    try_passkey(&app.browser(), &mut passkey).await.expect(200);
    app.drain().await;
}
