//! Passkeys with an Ed25519 key, whose signatures are not verified by the library.

use harness::{Authenticator, Caller, TestApp};
use serde_json::{Value, json};

use super::{
    ADA, BOB, LIES, LOGIN_FINISH, Lie, PASSKEYS, START, add, answer_to, count, offer, passkeys, refuse_lies,
    refused_for, signed_in, start_login, try_passkey, user_with_passkey, with_lockout,
};

/// What becomes of the 32 bytes of a key.
type BadKey = (&'static str, fn(&mut Vec<u8>));

/// A user whose passkey has an Ed25519 key.
async fn user_with_eddsa<'a>(app: &'a TestApp, email: &str) -> (Caller<'a>, Authenticator) {
    let browser = signed_in(app, email).await;
    let mut passkey = Authenticator::eddsa(&app.origin());
    add(app, &browser, &mut passkey).await;
    (browser, passkey)
}

/// Changes bytes of a member of the response.
fn change(credential: &mut Value, member: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let member = &mut credential["response"][member];
    let mut bytes = member.as_str().and_then(shared::secret::decode).expect("base64url");
    change(&mut bytes);
    *member = json!(shared::secret::encode(&bytes));
}

/// Offers a new credential and expects that it is asked to verify itself, or that it is refused.
async fn offer_changed(
    app: &TestApp,
    (browser, what): (&Caller<'_>, &str),
    mut passkey: Authenticator,
    spoil: impl FnOnce(&mut Vec<u8>),
) -> u16 {
    let challenge = browser.post(START, json!({})).await.expect(200).json();
    let mut credential = passkey.create(&challenge["public_key"]);
    change(&mut credential, "attestationObject", spoil);
    let answer = browser.post(PASSKEYS, answer_to(&challenge, &credential)).await;
    if answer.status != 200 {
        assert_eq!(answer.status, 400, "{what}: {}", answer.text);
        answer.expect_problem(400, "invalid_passkey");
    }
    assert_eq!(count(app, "passkeys").await, 0, "{what}");
    answer.status
}

/// Where the bytes of `needle` end.
fn after(bytes: &[u8], needle: &[u8]) -> usize {
    let start = bytes.windows(needle.len()).position(|window| window == needle).expect("the bytes");
    start + needle.len()
}

/// G01: what is asked for, of whom; a credential that is offered and not verified is not excluded.
#[tokio::test(flavor = "multi_thread")]
async fn es256_and_eddsa_are_offered() {
    let app = TestApp::new().await;
    let (browser, passkey) = user_with_passkey(&app, ADA).await;
    offer(&browser, &mut Authenticator::eddsa(&app.origin())).await;
    let challenge = browser.post(START, json!({})).await.expect(200).json();
    let options = &challenge["public_key"];
    assert_eq!(options["rp"]["id"], app.kernel.config.http.public_url.domain().unwrap());
    let selection = &options["authenticatorSelection"];
    assert_eq!((&selection["residentKey"], &selection["userVerification"]), (&json!("required"), &json!("required")));
    assert_eq!(options["timeout"], 300_000);
    let algorithms: Vec<_> =
        options["pubKeyCredParams"].as_array().unwrap().iter().map(|one| one["alg"].as_i64().unwrap()).collect();
    assert_eq!(algorithms, [-7, -8, -35, -257]);
    let excluded = options["excludeCredentials"].as_array().unwrap();
    let excluded: Vec<_> = excluded.iter().map(|one| &one["id"]).collect();
    assert_eq!(excluded, [&json!(shared::secret::encode(&passkey.id))]);
}

/// G01, G05, G06: registered, verified, signed in with by itself, renamed, removed.
#[tokio::test(flavor = "multi_thread")]
async fn an_eddsa_passkey_does_all_that_others_do() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let mut passkey = Authenticator::eddsa(&app.origin());
    // credProtect 3, and behind the key: {"credProtect": 3}.
    passkey.extensions = [&[0xa1, 0x6b][..], b"credProtect", &[0x03]].concat();
    let verification = offer(&browser, &mut passkey).await;
    passkey.extensions = Vec::new();
    assert!(passkeys(&browser).await.is_empty());
    try_passkey(&app.browser(), &mut passkey).await.expect_problem(400, "invalid_passkey");
    let credential = passkey.get(&verification["public_key"]);
    let created = browser.post(PASSKEYS, answer_to(&verification, &credential)).await.expect(200).json();
    app.drain().await;

    for _ in 0..2 {
        let phone = app.browser();
        let login = try_passkey(&phone, &mut passkey).await.expect(200).json();
        assert_eq!(login["session"]["amr"], json!(["hwk", "user", "mfa"]));
        assert_eq!(phone.get("/api/users/@me").await.expect(200).json()["email"], ADA);
    }
    // The row has the counter of the authenticator and its own key, which is no key that stood in for it.
    assert_eq!(app.number("SELECT sign_count AS number FROM passkeys").await, 4);
    let stored = app.dump().await;
    assert!(stored.contains("EDDSA") && stored.contains("ED25519") && !stored.contains("ES256\",\"key"), "{stored}");

    let path = format!("{PASSKEYS}/{}", created["passkey"]["id"].as_str().unwrap());
    assert_eq!(browser.patch(&path, json!({ "label": "Stick" })).await.expect(200).json()["label"], "Stick");
    // Another one beside it, of the other kind.
    let mut other = Authenticator::new(&app.origin());
    add(&app, &browser, &mut other).await;
    browser.delete(&path).await.expect(204);
    try_passkey(&app.browser(), &mut passkey).await.expect_problem(400, "invalid_passkey");
    try_passkey(&app.browser(), &mut other).await.expect(200);
    app.drain().await;
}

/// G01: the same key as second factor.
#[tokio::test(flavor = "multi_thread")]
async fn an_eddsa_passkey_is_a_second_factor() {
    let app = TestApp::new().await;
    let (browser, mut passkey) = user_with_eddsa(&app, ADA).await;
    browser.patch("/api/users/@me/two_factor", json!({ "passkeys_enabled_for_2fa": true })).await.expect(200);
    app.drain().await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    for is_honest in [false, true] {
        let login_id = json!({ "login_id": pending["login_id"] });
        let challenge = browser.post("/api/login/two_factor/passkey", login_id).await.expect(200).json();
        let mut credential = passkey.get(&challenge["public_key"]);
        if !is_honest {
            change(&mut credential, "signature", |bytes| bytes[0] ^= 1);
        }
        let answer = json!({ "ceremony_id": challenge["ceremony_id"], "credential": credential });
        let body = json!({ "login_id": pending["login_id"], "passkey": answer });
        let answer = browser.post("/api/login/two_factor", body).await;
        if is_honest {
            assert_eq!(answer.expect(200).json()["session"]["amr"], json!(["pwd", "hwk", "user", "mfa"]));
        } else {
            answer.expect_problem(400, "invalid_passkey");
        }
    }
    app.drain().await;
}

/// G04, T-WA-02, T-WA-04: the library judges them like those of other keys.
#[tokio::test(flavor = "multi_thread")]
async fn no_lie_passes_with_an_eddsa_key() {
    let app = TestApp::new().await;
    let (browser, passkey) = user_with_eddsa(&app, ADA).await;
    let bob = signed_in(&app, BOB).await;
    let sessions = count(&app, "sessions").await;
    refuse_lies(&app, &passkey).await;
    for (what, lie) in LIES {
        let mut liar = Authenticator::eddsa(&app.origin());
        lie(&mut liar);
        let challenge = bob.post(START, json!({})).await.expect(200).json();
        let answer = bob.post(PASSKEYS, answer_to(&challenge, &liar.create(&challenge["public_key"]))).await;
        assert_eq!(answer.status, 400, "{what}, adding: {}", answer.text);
        answer.expect_problem(400, "invalid_passkey");
    }
    // The id of a credential that is registered.
    let mut thief = Authenticator::eddsa(&app.origin());
    thief.id.clone_from(&passkey.id);
    for (browser, status, code) in [(&browser, 400, "invalid_passkey"), (&bob, 409, "passkey_exists")] {
        let challenge = browser.post(START, json!({})).await.expect(200).json();
        let credential = thief.create(&challenge["public_key"]);
        browser.post(PASSKEYS, answer_to(&challenge, &credential)).await.expect_problem(status, code);
    }
    assert_eq!((count(&app, "sessions").await, count(&app, "passkeys").await), (sessions, 1));
    try_passkey(&app.browser(), &mut passkey.clone()).await.expect(200);
}

/// G04, G17, T-WA-03: signatures that are not of the stored key and this answer; each is a failure of the owner.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_signatures_are_refused_and_counted() {
    let app = TestApp::with(with_lockout()).await;
    let (_, passkey) = user_with_eddsa(&app, ADA).await;
    let (_, es256) = user_with_passkey(&app, BOB).await;
    let guesser = app.browser();
    let attempt = async |mut liar: Authenticator, spoil: fn(&mut Value)| {
        let challenge = start_login(&guesser).await;
        let mut credential = liar.get(&challenge["public_key"]);
        spoil(&mut credential);
        guesser.post(LOGIN_FINISH, answer_to(&challenge, &credential)).await
    };
    let posing = |mut liar: Authenticator, as_whom: &Authenticator| {
        liar.id.clone_from(&as_whom.id);
        liar.user_handle.clone_from(&as_whom.user_handle);
        liar
    };
    // Another Ed25519 key for this credential, an ES256 key for it, and an Ed25519 key for the credential of an ES256 key.
    attempt(posing(Authenticator::eddsa(&app.origin()), &passkey), |_| ()).await.expect_problem(400, "invalid_passkey");
    attempt(posing(Authenticator::new(&app.origin()), &passkey), |_| ()).await.expect_problem(400, "invalid_passkey");
    attempt(posing(Authenticator::eddsa(&app.origin()), &es256), |_| ()).await.expect_problem(400, "invalid_passkey");
    let spoilt: [fn(&mut Value); 3] = [
        |credential| change(credential, "signature", |bytes| bytes.truncate(63)),
        |credential| change(credential, "authenticatorData", |bytes| bytes.push(0)),
        |credential| change(credential, "signature", |bytes| bytes.fill(0)),
    ];
    for spoil in spoilt {
        attempt(passkey.clone(), spoil).await.expect_problem(400, "invalid_passkey");
    }
    assert_eq!(refused_for(&app, "assertion").await, 6);
    // Five of them were of this owner, from this client: it may try no longer, and another client may.
    attempt(passkey.clone(), |_| ()).await.expect_problem(403, "too_many_failed_attempts");
    try_passkey(&app.browser(), &mut passkey.clone()).await.expect(200);
    app.drain().await;
}

/// G09, T-WA-08: a copy of the key is found out, and nobody can pretend that there is one.
#[tokio::test(flavor = "multi_thread")]
async fn a_copied_eddsa_key_is_found_out() {
    let app = TestApp::new().await;
    let (_, mut passkey) = user_with_eddsa(&app, ADA).await;
    let mut clone = passkey.clone();
    for _ in 0..2 {
        try_passkey(&app.browser(), &mut passkey).await.expect(200);
    }
    let mut forged = Authenticator::eddsa(&app.origin());
    forged.id.clone_from(&clone.id);
    forged.user_handle.clone_from(&clone.user_handle);
    try_passkey(&app.browser(), &mut forged).await.expect_problem(400, "invalid_passkey");
    assert_eq!(refused_for(&app, "sign_count").await, 0);
    try_passkey(&app.browser(), &mut clone).await.expect_problem(400, "invalid_passkey");
    assert_eq!(refused_for(&app, "sign_count").await, 1);
    app.drain().await;
    assert_eq!(app.mail_to(ADA).await.subject, "A passkey of your account was refused");
    try_passkey(&app.browser(), &mut passkey).await.expect(200);
    app.drain().await;
}

/// G04, T-WA-03, T-WA-06: keys that are none, algorithms that do not fit, and statements that were not asked for.
#[tokio::test(flavor = "multi_thread")]
async fn keys_and_statements_are_looked_at() {
    const X: &[u8] = &[0x20, 0x06, 0x21, 0x58, 0x20];
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let keys: [BadKey; 6] = [
        ("a point of order 1", |key| key.splice(.., [&[1][..], &[0; 31]].concat()).for_each(drop)),
        ("a point of order 4", |key| key.fill(0)),
        ("no point", |key| key.splice(.., [&[2][..], &[0; 31]].concat()).for_each(drop)),
        ("a coordinate that is too large", |key| key.fill(0xff)),
        ("a key that is cut off", |key| key.truncate(31)),
        ("nothing", Vec::clear),
    ];
    for (what, spoil) in keys {
        let status = offer_changed(&app, (&browser, what), Authenticator::eddsa(&app.origin()), |bytes| {
            let mut key = bytes.split_off(after(bytes, X));
            spoil(&mut key);
            bytes.extend(key);
        });
        assert_eq!(status.await, 400, "{what}");
    }
    let lies: [Lie; 6] = [
        ("an Ed25519 key of ES256", |passkey| passkey.algorithm = -7),
        ("an Ed25519 key of ES384", |passkey| passkey.algorithm = -35),
        ("an Ed25519 key under its newer name", |passkey| passkey.algorithm = -19),
        ("an attestation of U2F", |passkey| passkey.format = "fido-u2f"),
        ("a packed attestation without its statement", |passkey| passkey.format = "packed"),
        ("a statement where there is none", |passkey| passkey.is_attesting = true),
    ];
    for (what, lie) in lies {
        let mut passkey = Authenticator::eddsa(&app.origin());
        lie(&mut passkey);
        assert_eq!(offer_changed(&app, (&browser, what), passkey, |_| ()).await, 400, "{what}");
    }
    // The key's own signature is looked at, and it may be there.
    for (what, mask, status) in [("a right self attestation", 0, 200), ("a wrong self attestation", 1, 400)] {
        let mut passkey = Authenticator::eddsa(&app.origin());
        (passkey.format, passkey.is_attesting) = ("packed", true);
        let spoil = |bytes: &mut Vec<u8>| {
            let start = after(bytes, &[0x63, b's', b'i', b'g', 0x58, 0x40]);
            bytes[start] ^= mask;
        };
        assert_eq!(offer_changed(&app, (&browser, what), passkey, spoil).await, status, "{what}");
    }
}
