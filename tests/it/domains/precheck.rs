//! What a sign-in page learns about an address before anything is proven.

use std::{collections::BTreeMap, time::Duration};

use harness::{Answer, Authenticator, Caller, Settings, TestApp, UNLIMITED};
use serde_json::{Value, json};

use super::{CORP, World, text};
use crate::passkey;

const ADA: &str = "ada@lovelace.test";

async fn ask(caller: &Caller<'_>, email: &str) -> Answer {
    caller.post("/api/login/precheck", json!({ "email": email })).await
}

async fn told(caller: &Caller<'_>, email: &str) -> Value {
    ask(caller, email).await.expect(200).json()
}

fn unlimited() -> Settings {
    Settings::with(|config| config.precheck.per_network = UNLIMITED)
}

/// A16: the demand of the domain, SAML, and passkeys; those of a user are their own
#[tokio::test(flavor = "multi_thread")]
async fn a_precheck_tells_the_demand_and_the_passkeys() {
    let world = World::new().await;
    let browser = passkey::signed_in(&world.app, ADA).await;
    let mut key = Authenticator::new(&world.app.origin());
    passkey::add(&world.app, &browser, &mut key).await;
    let answer = told(&world.app.browser(), " ADA@lovelace.test").await;
    assert_eq!((&answer["saml_available"], answer.get("sso_enforcement")), (&json!(false), None));
    assert_eq!(answer["passkeys"].as_array().map(Vec::len), Some(1));
    let sql = "SELECT COUNT(*) AS number FROM passkeys";
    assert_eq!(world.app.number(sql).await, 1);
    let held = stored_ids(&world.app).await;
    assert_eq!(
        (&answer["passkeys"][0]["credential_id"], &answer["passkeys"][0]["credential_type"]),
        (&json!(held[0]), &json!("public-key"))
    );

    let house = world.house("owner@example.com").await;
    house.prove(CORP, json!({ "sso_enforcement": "google" })).await;
    house.prove("lovelace.test", json!({ "sso_enforcement": "other" })).await;
    let expected = |provider: &str| json!({ "sso_enforcement": provider, "saml_available": false, "passkeys": [] });
    assert_eq!(told(&world.app.browser(), "nobody@corp.example").await, expected("google"));
    assert_eq!(told(&world.app.browser(), ADA).await, expected("other"), "whether somebody is there or not");
    ask(&world.app.browser(), "no address").await.expect_problem(422, "validation_failed");
}

/// The ids of all passkeys, in base64url.
async fn stored_ids(app: &TestApp) -> Vec<String> {
    use sea_orm::{ConnectionTrait, Statement};
    let statement = Statement::from_string(app.kernel.db.engine(), "SELECT credential_id FROM passkeys");
    let rows = app.kernel.db.writer().query_all_raw(statement).await.expect("rows");
    let id = |row: &sea_orm::QueryResult| row.try_get::<Vec<u8>>("", "credential_id").expect("an id");
    rows.iter().map(|row| shared::secret::encode(&id(row))).collect()
}

/// The shape of an answer: its members, and of each passkey how it is reached and how long its id is.
fn shape(answer: &Value) -> Vec<String> {
    let names: Vec<&String> = answer.as_object().expect("members").keys().collect();
    assert_eq!(names, ["passkeys", "saml_available"], "{answer}");
    let passkeys = answer["passkeys"].as_array().expect("passkeys");
    let one = |passkey: &Value| {
        let names: Vec<&String> = passkey.as_object().expect("members").keys().collect();
        assert_eq!(names, ["credential_id", "credential_type", "transports"], "{passkey}");
        format!("{} {}", passkey["transports"], text(&passkey["credential_id"]).len())
    };
    passkeys.iter().map(one).collect()
}

/// A17, W25: nobody, somebody without a passkey, somebody unproven and somebody disabled have decoys that stay the same
#[tokio::test(flavor = "multi_thread")]
async fn decoys_are_stable_and_like_passkeys() {
    let app = TestApp::with(unlimited()).await;
    let browser = passkey::signed_in(&app, ADA).await;
    let before = told(&app.browser(), ADA).await;
    app.browser().sign_up("unproven@lovelace.test").await;
    app.drain().await;
    let mut shapes = BTreeMap::<usize, usize>::new();
    for email in ["unproven@lovelace.test", "nobody@lovelace.test", ADA] {
        let first = told(&app.browser(), email).await;
        app.advance(Duration::from_secs(60));
        assert_eq!(told(&app.browser_at("203.0.113.9"), &email.to_uppercase()).await, first, "{email}");
        assert!((1..=3).contains(&shape(&first).len()), "{first}");
    }
    for number in 0..100 {
        let decoys = shape(&told(&app.browser(), &format!("user{number}@example.test")).await);
        *shapes.entry(decoys.len()).or_default() += 1;
    }
    assert!(shapes.keys().all(|count| (1..=3).contains(count)) && shapes.len() > 1, "{shapes:?}");
    let mut key = Authenticator::new(&app.origin());
    passkey::add(&app, &browser, &mut key).await;
    let after = told(&app.browser(), ADA).await;
    assert_ne!(after, before);
    shape(&after);
    // Whoever is disabled looks like nobody again.
    app.execute("UPDATE users SET disabled_at = 1 WHERE email = 'ada@lovelace.test'").await;
    assert_eq!(told(&app.browser(), ADA).await, before);
}

/// A18: thirty a minute and address of a client; nobody is counted who is signed in and asks about their own address
#[tokio::test(flavor = "multi_thread")]
async fn questions_are_counted_except_about_oneself() {
    let app = TestApp::new().await;
    let ada = app.member(ADA).await;
    let stranger = app.browser_at("203.0.113.7");
    for number in 0..30 {
        told(&stranger, &format!("user{number}@example.test")).await;
    }
    let refused = ask(&stranger, "user31@example.test").await;
    refused.expect_problem(429, "throttled");
    assert!(refused.header("retry-after").is_some());
    ask(&stranger, "no address").await.expect_problem(429, "throttled");
    told(&app.browser_at("203.0.113.8"), "user31@example.test").await;
    let browser = app.browser();
    for _ in 0..30 {
        told(&browser, ADA).await;
    }
    ask(&browser, ADA).await.expect_problem(429, "throttled");
    for _ in 0..40 {
        told(&ada, "Ada@Lovelace.test").await;
    }
    for _ in 0..30 {
        told(&ada, "bob@byron.test").await;
    }
    ask(&ada, "bob@byron.test").await.expect_problem(429, "throttled");
    told(&ada, ADA).await;
    app.advance(Duration::from_secs(60));
    told(&stranger, "user31@example.test").await;
}
