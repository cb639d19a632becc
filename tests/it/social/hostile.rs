//! Providers that lie, and what somebody in between makes of their answers.

use harness::provider::Signature;
use serde_json::Value;

use super::{ADA, Person, World, assert_refused, begin, error_code, json, me, sent_to};

/// Every ID token that the provider is made to give is refused, and an honest one after it is not.
async fn refuse_all(world: &World, claims: &[Value]) {
    for lie in claims {
        world.provider.set(|behaviour| behaviour.claims = lie.clone());
        let browser = world.app.browser();
        let answer = world.sign_in(&browser, "corp", &Person::of("1", ADA)).await;
        assert_eq!(error_code(&answer), "sso_rejected", "{lie}");
        assert_refused(&browser, &answer, "sso_rejected").await;
    }
    world.provider.set(|behaviour| behaviour.claims = json!({}));
    assert_eq!((world.count("users").await, world.count("social_identities").await), (0, 0));
    world.signed_in("corp", &Person::of("1", ADA)).await;
}

/// M03, T-OIDC-02: an ID token that is too old, too new, of another issuer, for somebody else, for another sign-in or about
/// nobody is refused.
#[tokio::test(flavor = "multi_thread")]
async fn claims_that_are_not_for_us_are_refused() {
    let world = World::new().await;
    let (now, issuer) = (world.app.now().unix_seconds(), world.provider.issuer.clone());
    refuse_all(
        &world,
        &[
            json!({ "exp": now - 61 }),
            json!({ "exp": null }),
            json!({ "nbf": now + 120 }),
            json!({ "iat": now + 120 }),
            json!({ "iss": format!("{issuer}/") }),
            json!({ "iss": "https://accounts.google.com" }),
            json!({ "iss": null }),
            json!({ "aud": "another-client" }),
            json!({ "aud": [] }),
            json!({ "aud": null }),
            json!({ "aud": [super::CLIENT.0, "another-client"] }),
            json!({ "aud": [super::CLIENT.0, "another-client"], "azp": super::CLIENT.0 }),
            json!({ "azp": "another-client" }),
            json!({ "nonce": "x" }),
            json!({ "nonce": null }),
            json!({ "sub": null }),
            json!({ "sub": "" }),
            json!({ "sub": "a".repeat(256) }),
            json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }),
        ],
    )
    .await;
}

/// M03, T-OIDC-02: a clock that is a little off is none of these, and neither is a single audience in a list.
#[tokio::test(flavor = "multi_thread")]
async fn what_honest_providers_do_is_accepted() {
    let world = World::new().await;
    let now = world.app.now().unix_seconds();
    for claims in [
        json!({ "exp": now - 30 }),
        json!({ "iat": now + 30, "nbf": now + 30 }),
        json!({ "aud": [super::CLIENT.0], "azp": super::CLIENT.0 }),
        json!({ "at_hash": null }),
    ] {
        world.provider.set(|behaviour| behaviour.claims = claims);
        world.signed_in("corp", &Person::of("1", ADA)).await;
    }
    world.provider.set(|behaviour| {
        behaviour.claims = json!({});
        behaviour.header = json!({ "kid": null, "typ": null });
        behaviour.metadata = json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] });
    });
    world.app.advance(std::time::Duration::from_secs(3601));
    world.signed_in("corp", &Person::of("1", ADA)).await;
}

/// M03, T-OIDC-02: signatures: none, by a MAC with what everybody or we know, by a key that is not published, by nonsense;
/// and keys that the token brings along or leads to.
#[tokio::test(flavor = "multi_thread")]
async fn signatures_that_prove_nothing_are_refused() {
    let world = World::new().await;
    let public = world.provider.public_key(0);
    let lies = [
        ("not signed", Signature::None, json!({})),
        ("MAC with the public key", Signature::Mac(public.clone()), json!({})),
        ("MAC with our secret", Signature::Mac(super::CLIENT.1.as_bytes().to_vec()), json!({})),
        ("nonsense", Signature::Wrong, json!({})),
        ("a key that is not published", Signature::Key(1), json!({})),
        ("a published name, another key", Signature::Key(1), json!({ "kid": "key-0" })),
        ("another algorithm", Signature::Key(0), json!({ "alg": "RS256" })),
        ("no algorithm", Signature::Key(0), json!({ "alg": "none" })),
        ("an algorithm that there is not", Signature::Key(0), json!({ "alg": "XS1" })),
        ("something critical", Signature::Key(0), json!({ "crit": ["b64"], "b64": true })),
        ("a key of its own", Signature::Key(1), json!({ "jwk": jwk(&world), "kid": null })),
        ("keys elsewhere", Signature::Key(1), json!({ "jku": format!("{}/other", world.provider.issuer) })),
        ("a certificate elsewhere", Signature::Key(1), json!({ "x5u": format!("{}/other", world.provider.issuer) })),
    ];
    for (what, signature, header) in lies {
        world.provider.set(|behaviour| {
            behaviour.signature = signature;
            behaviour.header = header;
        });
        let browser = world.app.browser();
        let answer = world.sign_in(&browser, "corp", &Person::of("1", ADA)).await;
        assert_eq!(error_code(&answer), "sso_rejected", "{what}");
    }
    assert_eq!((world.count("users").await, world.provider.count("/other")), (0, 0));
    world.provider.set(|behaviour| {
        behaviour.signature = Signature::Key(0);
        behaviour.header = json!({});
    });
    world.signed_in("corp", &Person::of("1", ADA)).await;
}

/// The key that nobody published, as a header would bring it.
fn jwk(world: &World) -> Value {
    let public = world.provider.public_key(1);
    let (x, y) = public[1..].split_at(32);
    json!({ "kty": "EC", "crv": "P-256", "x": shared::secret::encode(x), "y": shared::secret::encode(y) })
}

/// T-OIDC-04: a callback that names another issuer is refused before its code is sent anywhere; one that names none is, where
/// the provider says that it always names itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_callback_of_another_issuer_is_refused() {
    let world = World::new().await;
    let person = Person::of("1", ADA);
    let named = shared_encoded(&world.provider.issuer);
    for name in ["corp", "github"] {
        let browser = world.app.browser();
        let callback = world.approve(&begin(&browser, name).await, &person);
        let callback =
            callback.split("&iss=").next().expect("a callback").to_owned() + "&iss=https%3A%2F%2Fother.example";
        assert_refused(&browser, &browser.get(&callback).await, "sso_rejected").await;
    }
    assert_eq!((world.provider.count("/token"), world.provider.count("/login/oauth/access_token")), (0, 0));
    let without = async |world: &World| {
        let browser = world.app.browser();
        let callback = world.approve(&begin(&browser, "corp").await, &person);
        let callback = callback.replace(&format!("&iss={named}"), "");
        assert!(!callback.contains("iss="), "{callback}");
        let answer = browser.get(&callback).await;
        world.app.drain().await;
        error_code_or_page(&answer)
    };
    assert_eq!(without(&world).await, "/account");
    world.provider.set(|behaviour| {
        behaviour.metadata = json!({ "authorization_response_iss_parameter_supported": true });
    });
    world.app.advance(std::time::Duration::from_secs(3601));
    assert_eq!(without(&world).await, "sso_rejected");
    world.signed_in("corp", &person).await;
}

fn shared_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn error_code_or_page(answer: &harness::Answer) -> String {
    let code = error_code(answer);
    if code.is_empty() { sent_to(answer).to_owned() } else { code }
}

/// M04: who says no at the provider comes back to the sign-in page, and that sign-in is over.
#[tokio::test(flavor = "multi_thread")]
async fn saying_no_is_an_answer() {
    let world = World::new().await;
    let browser = world.app.browser();
    let callback = world.approve(&begin(&browser, "corp").await, &Person::of("1", ADA));
    let state = callback.split("&state=").nth(1).expect("a state").split('&').next().expect("a state");
    let refusal = format!("/api/complete/corp?error=access_denied&error_description=%3Cb%3E&state={state}");
    let answer = browser.get(&refusal).await;
    assert_refused(&browser, &answer, "sso_cancelled").await;
    assert_refused(&browser, &browser.get(&callback).await, "invalid_sso_state").await;
}

/// M08: what a hostile provider says of people it does not own signs in nobody else: its subject is its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_speaks_for_itself_only() {
    let world = World::new().await;
    let ada = me(&world.signed_in("corp", &Person::of("1", ADA)).await).await;
    world.refused("other", &Person::of("1", ADA), "sso_email_not_verified").await;
    assert_eq!(me(&world.signed_in("corp", &Person::of("1", "x@example.test")).await).await["id"], ada["id"]);
}

/// M16: what leads nowhere is audited, and no more often than a network may begin: nobody fills the trail by asking.
#[tokio::test(flavor = "multi_thread")]
async fn what_leads_nowhere_fills_no_trail() {
    let limit = shared::rate_limit::Limit { count: 5, per_seconds: 3600 };
    let world = World::with(move |config| config.social.starts_per_network = limit).await;
    let stranger = world.app.browser_at("203.0.113.9");
    for _ in 0..6 {
        for path in ["/api/complete/google?code=x&state=y", "/api/login/sso/nobody", "/api/complete/nobody?state=y"] {
            assert!(
                ["invalid_sso_state", "invalid_sso_provider"].contains(&error_code(&stranger.get(path).await).as_str())
            );
        }
    }
    assert_eq!(super::audited(&world.app, "social.complete").await.len(), 5);
    stranger.get("/api/login/sso/nobody").await.expect(303);
    world.app.browser_at("198.51.100.7").get("/api/login/sso/nobody").await.expect(303);
    assert_eq!(super::audited(&world.app, "social.complete").await.len(), 6);
}
