//! Providers that are slow, gone, too large, or elsewhere than they may be; and keys that change.

use std::time::{Duration, Instant};

use harness::provider::{Outage, Signature};

use super::{ADA, Person, World, assert_refused, begin, error_code, json, sent_to};

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// A start that has to be refused within the time that a provider has, and a little.
async fn start_fails(world: &World, name: &str, what: &str) {
    let browser = world.app.browser();
    let since = Instant::now();
    let answer = browser.get(&format!("/api/login/sso/{name}?next=%2Finvite")).await;
    assert!(since.elapsed() < Duration::from_secs(8), "{what}: {:?}", since.elapsed());
    assert_eq!(error_code(&answer), "sso_unavailable", "{what}");
    assert!(sent_to(&answer).contains("next=%2Finvite"), "it can be tried again from there");
    assert_refused(&browser, &answer, "sso_unavailable").await;
}

/// M20, T-OIDC-05: a discovery document of another issuer, a redirect, keys at a private address, a body of 100 MB, a
/// provider that says nothing for a minute, and one that fails: each is refused, in five seconds at most.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_be_used_is_told_apart_from_nobody() {
    let world = World::new().await;
    let private = world.provider.issuer.replace("127.0.0.1", "127.0.0.2");
    for (what, metadata) in [
        ("another issuer", json!({ "issuer": "https://accounts.google.com" })),
        ("its issuer with a slash", json!({ "issuer": format!("{}/", world.provider.issuer) })),
        ("keys at a private address", json!({ "jwks_uri": format!("{private}/jwks") })),
        ("keys at the address of the cloud", json!({ "jwks_uri": "http://169.254.169.254/latest/meta-data" })),
        ("keys in a file", json!({ "jwks_uri": "file:///etc/passwd" })),
        ("no keys", json!({ "jwks_uri": null })),
        ("a page that is a script", json!({ "authorization_endpoint": "javascript:alert(1)" })),
    ] {
        world.provider.set(|behaviour| behaviour.metadata = metadata);
        // What was published before is good for an hour.
        world.app.advance(Duration::from_secs(3601));
        start_fails(&world, "corp", what).await;
    }
    world.provider.set(|behaviour| behaviour.metadata = json!({}));
    for path in [DISCOVERY, "/jwks"] {
        for (what, outage) in [
            ("a redirect", Outage::Redirect("http://169.254.169.254/latest/meta-data".to_owned())),
            ("a redirect to itself", Outage::Redirect(format!("{}/jwks", world.provider.issuer))),
            ("100 MB", Outage::Bytes(100 * 1024 * 1024)),
            ("an error", Outage::Status(500)),
            ("nothing there", Outage::Status(404)),
        ] {
            world.provider.set(|behaviour| behaviour.outages = [(path.to_owned(), outage)].into());
            start_fails(&world, "corp", what).await;
        }
    }
    world.provider.set(|behaviour| behaviour.outages = [(DISCOVERY.to_owned(), Outage::Silence)].into());
    start_fails(&world, "corp", "silence").await;
    world.provider.set(|behaviour| behaviour.outages.clear());
    world.signed_in("corp", &Person::of("1", ADA)).await;
}

/// M20, T-OIDC-05: an issuer that is at a private address is not reached unless its network is allowed, whichever way it is
/// written.
#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_not_reached() {
    let world = World::with(|config| config.social.allowed_networks.clear()).await;
    start_fails(&world, "corp", "an address").await;
    let port = world.provider.issuer.rsplit(':').next().expect("a port").to_owned();
    let mut config = (*world.app.kernel.config).clone();
    config.social.oidc[0].issuer = format!("http://localhost:{port}");
    let gateway = world.app.gateway_with_config(config);
    let answer = world.app.browser().through(&gateway).get("/api/login/sso/corp").await;
    assert_eq!(error_code(&answer), "sso_unavailable");
    assert_eq!(world.provider.count(DISCOVERY), 0);
}

/// M20: a provider that fails after it sent the browser back leads to the sign-in page, which says so, and never to an error
/// of ours; the next try works.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_at_the_end_is_told() {
    let world = World::new().await;
    let person = Person::of("1", ADA);
    world.signed_in("corp", &Person::of("2", "warm@example.test")).await;
    for (name, path) in [("corp", "/token"), ("github", "/login/oauth/access_token"), ("github", "/user/emails")] {
        for outage in [Outage::Status(500), Outage::Status(503), Outage::Bytes(300_000), Outage::Status(429)] {
            world.provider.set(|behaviour| behaviour.outages = [(path.to_owned(), outage)].into());
            world.refused(name, &person, "sso_unavailable").await;
        }
        world.provider.set(|behaviour| behaviour.outages = [(path.to_owned(), Outage::Bytes(10))].into());
        world.refused(name, &person, "sso_rejected").await;
    }
    let since = Instant::now();
    world.provider.set(|behaviour| behaviour.outages = [("/token".to_owned(), Outage::Silence)].into());
    world.refused("corp", &person, "sso_unavailable").await;
    assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
    world.provider.set(|behaviour| behaviour.outages.clear());
    world.signed_in("corp", &person).await;
}

/// M20: a secret that the provider does not take is our mistake, and told as a refusal.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_client_secret_is_a_refusal() {
    let world = World::with(|config| {
        config.social.google.client_secret = shared::secret::Redacted::new("wrong".to_owned());
    })
    .await;
    world.refused("google", &Person::of("1", ADA), "sso_rejected").await;
}

/// T-OIDC-09: a key that is new since the keys were read makes them be read once, and not again within a minute; without the
/// keys those that are known are good for an hour, and nobody signs in after it.
#[tokio::test(flavor = "multi_thread")]
async fn keys_change_and_run_out() {
    let world = World::new().await;
    let (ada, reads) = (Person::of("1", ADA), || world.provider.count("/jwks"));
    let rotate = |key: usize| {
        world.provider.set(|behaviour| {
            behaviour.signature = Signature::Key(key);
            behaviour.published = vec![key];
        });
    };
    world.signed_in("corp", &ada).await;
    assert_eq!((reads(), world.provider.count(DISCOVERY)), (1, 1));
    world.signed_in("corp", &ada).await;
    assert_eq!(reads(), 1);
    // While the browser is at the provider.
    let browser = world.app.browser();
    let url = begin(&browser, "corp").await;
    rotate(1);
    assert_eq!(sent_to(&browser.get(&world.approve(&url, &ada)).await), "/account");
    world.app.drain().await;
    assert_eq!(reads(), 2);
    // Once more within the minute, and then a minute later.
    rotate(2);
    for _ in 0..3 {
        world.refused("corp", &ada, "sso_rejected").await;
    }
    assert_eq!(reads(), 2);
    world.app.advance(Duration::from_secs(60));
    world.signed_in("corp", &ada).await;
    assert_eq!(reads(), 3);
    // The keys cannot be read any more.
    world.provider.set(|behaviour| behaviour.outages = [("/jwks".to_owned(), Outage::Status(500))].into());
    world.app.advance(Duration::from_secs(3500));
    world.signed_in("corp", &ada).await;
    world.app.advance(Duration::from_secs(101));
    start_fails(&world, "corp", "keys that are too old").await;
    let url = world.app.browser().get("/api/login/sso/github").await;
    assert!(sent_to(&url).contains("/login/oauth/authorize"), "another provider is not in need of them");
}

/// M20: sign-ins that nobody finished are deleted by a sweep.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_finished_is_swept() {
    let world = World::new().await;
    begin(&world.app.browser(), "corp").await;
    let sweep = async || {
        let kernel = &world.app.kernel;
        let tx = kernel.db.write_tx().await.expect("a transaction");
        let job = shared::social::SweepSocialLogins { window: world.app.now().0 };
        shared::jobs::enqueue(&tx, kernel.clock.as_ref(), &job).await.expect("a job");
        tx.commit().await.expect("a commit");
        world.app.drain().await;
    };
    sweep().await;
    assert_eq!(world.count("social_logins").await, 1);
    world.app.advance(Duration::from_secs(601));
    sweep().await;
    assert_eq!(world.count("social_logins").await, 0);
}
