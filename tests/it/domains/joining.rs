//! Becoming a member by signing in with a provider.

use std::time::Duration;

use harness::provider::Person;
use sea_orm::ConnectionTrait;
use serde_json::json;
use shared::orgs::{self, OrgId};

use super::{CORP, World, text};

fn acme() -> Vec<(String, String)> {
    vec![("member".to_owned(), "Acme".to_owned())]
}

/// N07: newcomers join at their first sign-in, users who are there at their next one, once, as members
#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_in_with_a_provider_joins() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    let early = Person::of("1", "early@corp.example");
    assert_eq!(world.joined("google", &early).await, []);
    let domain = house.prove(CORP, json!({ "jit_provisioning": true })).await;
    assert_eq!(world.joined("google", &Person::of("2", "ada@corp.example")).await, acme());
    assert_eq!(world.joined("google", &early).await, acme());
    // Once; and a role that somebody has is theirs.
    let early_id = world.app.user("early@corp.example").await.id;
    let role = json!({ "role": "admin" });
    house.owner.patch(&format!("/api/organizations/{}/members/{early_id}", house.id), role).await.expect(200);
    assert_eq!(world.joined("google", &early).await, [("admin".to_owned(), "Acme".to_owned())]);
    let joins = world.audited("domains.join").await;
    assert_eq!(joins.len(), 2, "{joins:?}");
    assert!(joins.iter().all(|(_, detail)| detail["domain_id"] == domain["id"] && detail["role"] == "member"));
    // Off means that nobody joins from then on, and that whoever joined stays.
    house.update(&domain, json!({ "jit_provisioning": false })).await.expect(200);
    assert_eq!(world.joined("google", &Person::of("3", "late@corp.example")).await, []);
    assert_eq!(world.joined("google", &Person::of("2", "ada@corp.example")).await, acme());
}

/// N07: neither an unverified address nor one elsewhere joins, whichever of the two it is that the account has
#[tokio::test(flavor = "multi_thread")]
async fn only_verified_addresses_of_the_domain_join() {
    let world = World::with(|config| config.social.link_requires_same_email = false).await;
    let house = world.house("owner@example.com").await;
    house.prove(CORP, json!({ "jit_provisioning": true })).await;
    assert_eq!(world.joined("google", &Person::of("1", "ada@sub.corp.example")).await, []);
    // The provider is not trusted with addresses.
    let linked = Person::of("2", "bob@corp.example");
    world.refused("other", &linked, "sso_email_not_verified").await;
    let bob = world.app.member("bob@corp.example").await;
    link(&world, &bob, "other", &linked).await;
    assert_eq!(world.joined("other", &linked).await, []);
    // The account is elsewhere, and what its organization demands would not hold for it.
    let eve = world.app.member("eve@byron.test").await;
    let person = Person::of("3", "eve@corp.example");
    link(&world, &eve, "google", &person).await;
    assert_eq!(world.joined("google", &person).await, []);
    // The provider does not say that it verified the address.
    let moved = Person::of("4", "joe@corp.example");
    world.app.member("joe@corp.example").await;
    world.refused("google", &Person { is_verified: Some(false), ..moved }, "sso_email_not_verified").await;
}

async fn link(world: &World, user: &harness::Caller<'_>, provider: &str, person: &Person) {
    let path = format!("{}/linked_accounts/{provider}/link", super::ME);
    let begun = user.post(&path, json!({})).await.expect(200).json();
    let url = url::Url::parse(&text(&begun["authorization_url"])).expect("an address");
    let answer = user.get(&world.provider.approve(&url, person, world.app.now())).await.expect(303);
    assert_eq!(answer.header("location"), Some("/account"));
    world.app.drain().await;
}

/// N07: the organization that proved the domain closest to the address is the one that is joined
#[tokio::test(flavor = "multi_thread")]
async fn the_closest_domain_is_joined() {
    let world = World::new().await;
    let (house, other) = (world.house("owner@example.com").await, world.house("other@example.com").await);
    let on = json!({ "jit_provisioning": true, "include_subdomains": true });
    house.prove(CORP, on.clone()).await;
    assert_eq!(world.joined("google", &Person::of("1", "one@sub.corp.example")).await, acme());
    let below = other.prove("sub.corp.example", json!({})).await;
    assert_eq!(world.joined("google", &Person::of("2", "two@sub.corp.example")).await, []);
    other.update(&below, on).await.expect(200);
    assert_eq!(world.joined("google", &Person::of("3", "three@deep.sub.corp.example")).await, acme());
    let joins = world.audited("domains.join").await;
    assert_eq!(joins.iter().filter(|(_, detail)| detail["domain_id"] == below["id"]).count(), 1, "{joins:?}");
}

/// N07: where the installation makes no accounts by providers, the organization that proved the domain decides
#[tokio::test(flavor = "multi_thread")]
async fn an_organization_lets_newcomers_in_where_the_installation_does_not() {
    let world = World::with(|config| config.social.allow_signup = false).await;
    let house = world.house("owner@example.com").await;
    let domain = house.prove(CORP, json!({})).await;
    let ada = Person::of("1", "ada@corp.example");
    world.refused("google", &ada, "sso_signup_disabled").await;
    house.update(&domain, json!({ "sso_enforcement": "google" })).await.expect(200);
    world.refused("google", &ada, "jit_not_enabled").await;
    world.refused("google", &Person::of("2", "bob@byron.test"), "sso_signup_disabled").await;
    house.update(&domain, json!({ "jit_provisioning": true })).await.expect(200);
    assert_eq!(world.joined("google", &ada).await, acme());
    world.refused("google", &Person::of("2", "bob@byron.test"), "sso_signup_disabled").await;
}

/// N07: whoever signs in while it is turned off that newcomers join does not join any more
#[tokio::test(flavor = "multi_thread")]
async fn nobody_joins_once_that_is_turned_off() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    house.prove(CORP, json!({ "jit_provisioning": true })).await;
    let tx = world.app.kernel.db.write_tx().await.expect("a transaction");
    orgs::lock(&*tx, OrgId(house.id.parse().expect("an id"))).await.expect("a lock");
    tx.execute_unprepared("UPDATE organization_domains SET jit_provisioning = false").await.expect("a change");
    let change = async {
        // The callback waits for it by then.
        tokio::time::sleep(Duration::from_millis(300)).await;
        tx.commit().await.expect("a commit");
    };
    let person = Person::of("1", "ada@corp.example");
    let (joined, ()) = tokio::join!(world.joined("google", &person), change);
    assert_eq!(joined, []);
    assert_eq!(world.audited("domains.join").await, []);
}
