//! Passkeys: adding and removing them, and signing in with one, with an authenticator in software.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

mod adding;
mod eddsa;
mod fuzz;
mod managing;
mod refusals;
mod signing_in;

use std::time::Duration;

use harness::{Answer, Authenticator, Caller, PASSWORD, Settings, TestApp, UNLIMITED};
use serde_json::{Value, json};
use shared::config::load_from;

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@byron.test";
const PASSKEYS: &str = "/api/users/@me/passkeys";
const START: &str = "/api/users/@me/passkeys/start";
const LOGIN_START: &str = "/api/login/passkey/start";
const LOGIN_FINISH: &str = "/api/login/passkey/finish";
const SESSION: &str = "gatepost_session";
const CEREMONY: &str = "gatepost_passkey";

/// A browser whose user is signed in with password and code.
pub async fn signed_in<'a>(app: &'a TestApp, email: &str) -> Caller<'a> {
    let browser = app.browser();
    browser.sign_up_verified(email).await;
    browser.log_in(email, PASSWORD).await;
    browser
}

/// Renews the proof of identity of a session.
async fn prove_again(browser: &Caller<'_>) {
    browser.post("/api/users/@me/reauthenticate", json!({ "password": PASSWORD })).await.expect(200);
}

fn answer_to(challenge: &Value, credential: &Value) -> Value {
    json!({ "ceremony_id": challenge["ceremony_id"], "credential": credential })
}

/// The first half: a new credential, which is asked to verify itself.
async fn offer(browser: &Caller<'_>, passkey: &mut Authenticator) -> Value {
    let challenge = browser.post(START, json!({})).await.expect(200).json();
    let credential = passkey.create(&challenge["public_key"]);
    let offered = browser.post(PASSKEYS, answer_to(&challenge, &credential)).await.expect(200).json();
    assert_eq!(offered["status"], "verification_required", "{offered}");
    offered["verification"].clone()
}

/// Adds a passkey; processes the jobs. Returns the passkey as the API shows it.
pub async fn add(app: &TestApp, browser: &Caller<'_>, passkey: &mut Authenticator) -> Value {
    let verification = offer(browser, passkey).await;
    let credential = passkey.get(&verification["public_key"]);
    let created = browser.post(PASSKEYS, answer_to(&verification, &credential)).await.expect(200).json();
    assert_eq!(created["status"], "created", "{created}");
    app.drain().await;
    created["passkey"].clone()
}

/// A user with a passkey.
async fn user_with_passkey<'a>(app: &'a TestApp, email: &str) -> (Caller<'a>, Authenticator) {
    let browser = signed_in(app, email).await;
    let mut passkey = Authenticator::new(&app.origin());
    add(app, &browser, &mut passkey).await;
    (browser, passkey)
}

async fn start_login(browser: &Caller<'_>) -> Value {
    browser.post(LOGIN_START, json!({})).await.expect(200).json()
}

/// Signs in with a passkey, in this browser.
pub async fn try_passkey(browser: &Caller<'_>, passkey: &mut Authenticator) -> Answer {
    let challenge = start_login(browser).await;
    let credential = passkey.get(&challenge["public_key"]);
    browser.post(LOGIN_FINISH, answer_to(&challenge, &credential)).await
}

/// Signs in with a passkey that lies, in every way.
async fn refuse_lies(app: &TestApp, passkey: &Authenticator) {
    for (what, lie) in LIES {
        let mut liar = passkey.clone();
        lie(&mut liar);
        let answer = try_passkey(&app.browser(), &mut liar).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text);
        answer.expect_problem(400, "invalid_passkey");
    }
}

async fn passkeys(browser: &Caller<'_>) -> Vec<Value> {
    browser.get(PASSKEYS).await.expect(200).json()["items"].as_array().cloned().unwrap_or_default()
}

async fn count(app: &TestApp, table: &str) -> i64 {
    app.number(&format!("SELECT COUNT(*) AS number FROM {table}")).await
}

/// How many assertions were refused for this reason.
async fn refused_for(app: &TestApp, reason: &str) -> usize {
    let rows = shared::audit::list(app.kernel.db.reader(), "passkey.assert", 1000).await.expect("audit");
    let reason = format!("\"reason\":\"{reason}\"");
    rows.iter().filter(|row| row.outcome == "failure" && row.detail.contains(&reason)).count()
}

/// An installation with the lockout that ships.
fn with_lockout() -> Settings {
    Settings::with(|config| {
        config.lockout = load_from(None, std::iter::empty()).expect("the defaults").lockout;
        config.login.per_network = UNLIMITED;
    })
}

/// An installation where everybody at `corp.example` signs in by SAML.
fn with_sso() -> Settings {
    Settings::with(|config| config.domains = harness::enforcing(&["corp.example=saml"]))
}

/// What the address of a user becomes behind the back of the application.
async fn move_to_corp(app: &TestApp, email: &str) {
    app.execute(&format!(
        "UPDATE users SET email = 'ada@corp.example', email_normalised = 'ada@corp.example' WHERE email = '{email}'"
    ))
    .await;
}

/// How an authenticator or the client around it lies.
type Lie = (&'static str, fn(&mut Authenticator));

/// Lies that no ceremony takes.
const LIES: [Lie; 13] = [
    ("no user verification", |passkey| passkey.is_verifying = false),
    ("no user presence", |passkey| passkey.is_present = false),
    ("another origin", |passkey| "http://evil.example".clone_into(&mut passkey.origin)),
    ("a sub-domain", |passkey| "http://app.localhost:8080".clone_into(&mut passkey.origin)),
    ("another port", |passkey| "http://localhost:8081".clone_into(&mut passkey.origin)),
    ("another scheme", |passkey| "https://localhost:8080".clone_into(&mut passkey.origin)),
    ("another relying party", |passkey| passkey.rp_id = Some("evil.example".to_owned())),
    ("a frame of another origin", |passkey| passkey.client_data = json!({ "crossOrigin": true })),
    ("a page of another origin around it", |passkey| {
        passkey.client_data = json!({ "topOrigin": "http://evil.example" });
    }),
    ("another challenge", |passkey| passkey.client_data = json!({ "challenge": "A".repeat(43) })),
    ("no challenge", |passkey| passkey.client_data = json!({ "challenge": null })),
    ("an unknown type", |passkey| passkey.client_data = json!({ "type": "payment.get" })),
    ("a copy that cannot be", |passkey| passkey.backup = (false, true)),
];

const FIVE_MINUTES: Duration = Duration::from_secs(300);
