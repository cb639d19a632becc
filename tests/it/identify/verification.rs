//! Proofs of identity: asked for over the API, given with captured events.

use std::time::Duration;

use harness::{Caller, PASSWORD};
use poem::http::Method;
use serde_json::{Value, json};
use shared::{identify::identity_hash, secret::Redacted};

use super::{ADA, Seen, World};

async fn signed_in(world: &World) -> Caller<'_> {
    let browser = world.app.browser();
    browser.log_in(ADA, PASSWORD).await;
    browser
}

fn path(world: &World) -> String {
    format!("/api/projects/{}/identify_verification", world.project.id)
}

/// Asks for proofs; returns what they are made with.
async fn require(browser: &Caller<'_>, world: &World) -> String {
    let asked = browser.send(Method::PUT, &path(world), None).await.expect(200).json();
    asked["verification_secret"].as_str().expect("a secret").to_owned()
}

fn hash(secret: &str, distinct_id: &str) -> String {
    identity_hash(&Redacted::new(secret.to_owned()), distinct_id).expect("a hash")
}

/// A page sends a merge of `other` into `into`, with a proof or without; returns whom it made.
async fn send(world: &World, (event, into, other): (&str, &str, &str), proof: Option<&str>) -> Seen {
    let name = if event == "$identify" { "$anon_distinct_id" } else { "alias" };
    let mut properties = json!({ name: other, "$set": { "last": other } });
    if let Some(proof) = proof {
        properties["$identity_hash"] = json!(proof);
    }
    let token = &world.project.project_token;
    let body = json!({ "api_key": token, "event": event, "distinct_id": into, "properties": properties });
    world.app.browser().post("/e", body).await.expect(200);
    world.app.drain().await;
    world.app.advance(Duration::from_secs(1));
    world.person_of(into).await.expect("the id was used")
}

/// T-ID-03: a project that asks for proofs merges nothing without the right one.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_may_ask_for_proofs_of_identity() {
    let world = World::new().await;
    let browser = signed_in(&world).await;
    assert_eq!(browser.get(&path(&world)).await.expect(200).json(), json!({ "is_required": false }));
    let secret = require(&browser, &world).await;
    assert_eq!(require(&browser, &world).await, secret, "it is shown again");
    let state: Value = browser.get(&path(&world)).await.expect(200).json();
    assert!(state["is_required"] == true && !state.to_string().contains(&secret), "{state}");
    let of_another = hash(&secret, "other");
    for event in ["$identify", "$create_alias"] {
        let user = format!("user of {event}");
        for wrong in [None, Some(""), Some(of_another.as_str()), Some(secret.as_str())] {
            let person = send(&world, (event, &user, "anon"), wrong).await;
            assert_eq!((person.ids.len(), person.is_identified, person.properties.get("last")), (1, false, None));
        }
        assert!(world.warnings().await.iter().any(|(kind, _)| kind == "identity_not_verified"));
        assert!(world.person_of("anon").await.is_none());
        let right = hash(&secret, &user);
        let person = send(&world, (event, &user, &format!("anon of {event}")), Some(&right.to_uppercase())).await;
        assert_eq!((person.ids.len(), person.is_identified), (2, true));
        assert_eq!(person.properties["last"], format!("anon of {event}"));
        // Whoever reads events could be anybody with it.
        let events = browser.get(&format!("/api/projects/{}/events", world.project.id)).await.expect(200);
        assert!(
            events.text.contains("$anon_distinct_id") && !events.text.contains("$identity_hash"),
            "{}",
            events.text
        );
    }
}

/// Turned off, everything is as before; turned on again, what was known is worth nothing.
#[tokio::test(flavor = "multi_thread")]
async fn proofs_are_waived_and_asked_for_anew() {
    let world = World::new().await;
    let browser = signed_in(&world).await;
    let secret = require(&browser, &world).await;
    assert_eq!(send(&world, ("$identify", "user", "a"), None).await.ids.len(), 1);
    browser.delete(&path(&world)).await.expect(204);
    browser.delete(&path(&world)).await.expect(204);
    assert_eq!(browser.get(&path(&world)).await.expect(200).json(), json!({ "is_required": false }));
    let person = send(&world, ("$identify", "user", "b"), None).await;
    assert_eq!((person.ids.len(), &person.properties["last"]), (2, &json!("b")));
    let another = require(&browser, &world).await;
    assert_ne!(another, secret);
    assert_eq!(send(&world, ("$identify", "user", "c"), Some(&hash(&secret, "user"))).await.ids.len(), 2);
    assert_eq!(send(&world, ("$identify", "user", "d"), Some(&hash(&another, "user"))).await.ids.len(), 3);
    let audited = "SELECT COUNT(*) AS number FROM audit_events
                   WHERE action IN ('identify.require_verification', 'identify.waive_verification')";
    assert_eq!(world.app.number(audited).await, 4);
    assert!(!world.app.dump().await.contains(&another), "the secret rests nowhere");
}

/// Both changes ask for a recent proof of who is at the browser, and are for admins.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_session_changes_nothing_about_proofs() {
    let world = World::new().await;
    let browser = signed_in(&world).await;
    world.app.advance(Duration::from_secs(7_201));
    for method in [Method::PUT, Method::DELETE] {
        let refused = browser.send(method, &path(&world), None).await;
        refused.expect_problem(403, "sensitive_action_required_reauth");
    }
    browser.get(&path(&world)).await.expect(200);
}

/// RFC 4231, section 4.3: a server that knows HMAC-SHA256 makes the same proof.
#[test]
fn a_proof_is_a_plain_hmac() {
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(hash("Jefe", "what do ya want for nothing?"), expected);
}
