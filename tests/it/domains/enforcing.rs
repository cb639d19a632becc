//! Domains whose organizations demand a provider: what is refused, for which addresses, and when it ends.

use std::time::Duration;

use harness::{Authenticator, OTHER_PASSWORD, PASSWORD, code_in, provider::Person, token_in};
use serde_json::json;

use super::{CORP, ME, SESSION, World, text};
use crate::passkey;

const ADA: &str = "ada@corp.example";

/// The status and the code of a password login, which is the same for everybody at a domain.
async fn password_login(world: &World, email: &str) -> (u16, String) {
    let answer = world.app.browser().post("/api/login", json!({ "email": email, "password": PASSWORD })).await;
    (answer.status, text(&answer.json()["code"]))
}

async fn is_enforced(world: &World, email: &str) -> bool {
    match password_login(world, email).await {
        (403, code) if code == "sso_enforced" => true,
        (401, code) if code == "invalid_credentials" => false,
        other => unreachable!("{other:?}"),
    }
}

/// T-RST-07: passwords, sign-up and reset are refused for a proven domain in every spelling, and for no other one
#[tokio::test(flavor = "multi_thread")]
async fn a_proven_domain_is_recognised_in_every_spelling() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    house.prove(CORP, json!({ "sso_enforcement": "google" })).await;
    house.prove("bücher.example", json!({ "sso_enforcement": "other" })).await;
    for (email, provider) in [
        ("ada@corp.example", "google"),
        (" ADA@CORP.Example\n", "google"),
        ("ada+tag@corp.example.", "google"),
        ("ada@ｃｏｒｐ.example", "google"),
        ("ada@corp。example", "google"),
        ("ada@bu\u{308}cher.example", "other"),
        ("ada@XN--BCHER-KVA.example.", "other"),
    ] {
        let browser = world.app.browser();
        let account = json!({ "email": email, "password": PASSWORD });
        for answer in [
            browser.post("/api/login", account.clone()).await,
            browser.post("/api/signup", account).await,
            browser.post("/api/reset", json!({ "email": email })).await,
        ] {
            let problem = answer.expect_problem(403, "sso_enforced");
            assert!(text(&problem["detail"]).contains(provider), "{email}: {problem}");
        }
    }
    for email in ["ada@sub.corp.example", "ada@notcorp.example", "ada@corp.example.test", "ada@сorp.example"] {
        assert!(!is_enforced(&world, email).await, "{email}");
    }
}

/// W39: sub-domains are included where that is turned on, at the border of a name, and the closest demand holds
#[tokio::test(flavor = "multi_thread")]
async fn sub_domains_are_included_where_that_is_wanted() {
    let world = World::new().await;
    let (house, other) = (world.house("owner@example.com").await, world.house("other@example.com").await);
    let domain = house.prove(CORP, json!({ "sso_enforcement": "google" })).await;
    assert!(is_enforced(&world, ADA).await && !is_enforced(&world, "ada@deep.sub.corp.example").await);
    house.update(&domain, json!({ "include_subdomains": true })).await.expect(200);
    for below in ["ada@sub.corp.example", "ada@deep.sub.corp.example"] {
        assert!(is_enforced(&world, below).await, "{below}");
    }
    for beside in ["ada@notcorp.example", "ada@corp.example.test", "ada@example.test"] {
        assert!(!is_enforced(&world, beside).await, "{beside}");
    }
    // Whoever proves a domain below demands what they want there, and does not lift what is demanded by leaving it out.
    let below = other.prove("sub.corp.example", json!({})).await;
    let demanded = async || {
        let login = json!({ "email": "ada@deep.sub.corp.example", "password": PASSWORD });
        let problem = world.app.browser().post("/api/login", login).await.expect_problem(403, "sso_enforced");
        text(&problem["detail"])
    };
    assert!(demanded().await.contains("google"));
    other.update(&below, json!({ "sso_enforcement": "other", "include_subdomains": true })).await.expect(200);
    assert!(demanded().await.contains("other"));
}

/// N05: a claim without a proof demands nothing of anybody, and one's own demand does not wait for others
#[tokio::test(flavor = "multi_thread")]
async fn a_mere_claim_demands_nothing() {
    let world = World::new().await;
    let (house, squatter) = (world.house("owner@example.com").await, world.house("squatter@example.com").await);
    let claim = squatter.claim(CORP).await;
    squatter.update(&claim, json!({ "sso_enforcement": "google" })).await.expect_problem(409, "verification_required");
    assert!(!is_enforced(&world, ADA).await);
    let domain = house.prove(CORP, json!({ "sso_enforcement": "other" })).await;
    assert!(is_enforced(&world, ADA).await);
    house.update(&domain, json!({ "sso_enforcement": null })).await.expect(200);
    assert!(!is_enforced(&world, ADA).await);
}

/// W27: a login that began with a provider is refused at its second step where the domain demands another one by then
#[tokio::test(flavor = "multi_thread")]
async fn a_login_with_another_provider_is_refused_at_its_end() {
    let world = World::with(|config| config.social.oidc.iter_mut().for_each(|one| one.trusts_email = true)).await;
    let app = &world.app;
    let house = world.house("owner@example.com").await;
    let (totp, _) = passkey::signed_in(app, ADA).await.enable_totp().await;
    let begin = async || {
        let (browser, answer) = world.sign_in("other", &Person::of("1", ADA)).await;
        let address = answer.header("location").expect("a redirect").to_owned();
        let id = address.split_once("login_id=").expect("a second step").1.split('&').next().expect("an id").to_owned();
        (browser, id)
    };
    let proof = |id: &str| json!({ "login_id": id, "code": totp.code(app.now()) });
    let (browser, id) = begin().await;
    let domain = house.prove(CORP, json!({ "sso_enforcement": "google" })).await;
    let refused = browser.post("/api/login/two_factor", proof(&id)).await;
    refused.expect_problem(403, "sso_enforced");
    assert!(refused.set_cookie(SESSION).is_none());
    app.advance(Duration::from_secs(30));
    house.update(&domain, json!({ "sso_enforcement": "other" })).await.expect(200);
    let (browser, id) = begin().await;
    let login = browser.post("/api/login/two_factor", proof(&id)).await.expect(200).json();
    assert_eq!(login["session"]["amr"], json!(["fed", "otp", "mfa"]));
    app.drain().await;
}

/// W27: whoever has a password, a passkey, a reset link or a code already is refused as well, and nothing changes
#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_is_refused_too() {
    let world = World::new().await;
    let app = &world.app;
    let house = world.house("owner@example.com").await;
    let browser = passkey::signed_in(app, ADA).await;
    let mut key = Authenticator::new(&app.origin());
    passkey::add(app, &browser, &mut key).await;
    let made = json!({ "label": "x", "scopes": ["*"] });
    let made = browser.post(&format!("{ME}/api_keys"), made).await.expect(201).json();
    app.browser().post("/api/reset", json!({ "email": ADA })).await.expect(204);
    app.drain().await;
    let token = token_in(&app.mail_to(ADA).await.text);
    let waiting = app.browser();
    let pending = waiting.begin_login(ADA, PASSWORD).await;
    let code = code_in(&app.mail_to(ADA).await.text);
    let domain = house.prove(CORP, json!({ "sso_enforcement": "google" })).await;

    let reset = json!({ "token": token, "password": OTHER_PASSWORD });
    let proof = json!({ "login_id": pending["login_id"], "code": code });
    app.browser().post("/api/reset/complete", reset.clone()).await.expect_problem(403, "sso_enforced");
    waiting.post("/api/login/email_mfa", proof.clone()).await.expect_problem(403, "sso_enforced");
    passkey::try_passkey(&app.browser(), &mut key).await.expect_problem(403, "sso_enforced");
    browser.post(&format!("{ME}/passkeys/start"), json!({})).await.expect_problem(403, "sso_enforced");
    browser.post(&format!("{ME}/linked_accounts/other/link"), json!({})).await.expect_problem(403, "sso_enforced");
    world.refused("other", &Person::of("1", ADA), "google_sso_enforced").await;
    // A session that is there stays, and makes nothing that would outlive it.
    browser.get(ME).await.expect(200);
    browser.post(&format!("{ME}/reauthenticate"), json!({ "password": PASSWORD })).await.expect(200);
    let key = json!({ "label": "x", "scopes": ["*"] });
    browser.post(&format!("{ME}/api_keys"), key.clone()).await.expect_problem(403, "sso_enforced");
    let roll = format!("{ME}/api_keys/{}/roll", text(&made["id"]));
    browser.post(&roll, json!({})).await.expect_problem(403, "sso_enforced");
    let member = world.sign_in("google", &Person::of("7", ADA)).await.0;
    member.post(&format!("{ME}/api_keys"), key).await.expect(201);

    house.update(&domain, json!({ "sso_enforcement": null })).await.expect(200);
    waiting.post("/api/login/email_mfa", proof).await.expect(200);
    app.browser().post("/api/reset/complete", reset).await.expect(200);
    app.drain().await;
}

/// M14: a proven domain is served by the provider that it demands and by no other one
#[tokio::test(flavor = "multi_thread")]
async fn a_proven_domain_is_served_by_the_provider_that_it_demands() {
    let world = World::with(|config| {
        for provider in &mut config.social.oidc {
            provider.trusts_email = true;
        }
    })
    .await;
    let house = world.house("owner@example.com").await;
    let domain = house.prove(CORP, json!({ "sso_enforcement": "google" })).await;
    let person = Person::of("1", ADA);
    world.refused("other", &person, "google_sso_enforced").await;
    assert_eq!(world.joined("google", &person).await, []);
    house.update(&domain, json!({ "sso_enforcement": "other" })).await.expect(200);
    world.refused("google", &person, "other_sso_enforced").await;
    assert_eq!(world.joined("other", &person).await, []);
}

/// a demand whose provider is no longer set up lets nobody in by other ways, and nobody by that one
#[tokio::test(flavor = "multi_thread")]
async fn a_demand_fails_closed_without_its_provider() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    house.prove(CORP, json!({ "sso_enforcement": "google" })).await;
    let mut config = (*world.app.kernel.config).clone();
    config.social.google.client_id.clear();
    let bare = world.app.gateway_with_config(config);
    let browser = world.app.browser().through(&bare);
    let login = json!({ "email": ADA, "password": PASSWORD });
    browser.post("/api/login", login).await.expect_problem(403, "sso_enforced");
    browser.post("/api/reset", json!({ "email": ADA })).await.expect_problem(403, "sso_enforced");
    let begun = browser.get("/api/login/sso/google").await.expect(303);
    let location = begun.header("location").expect("a redirect");
    assert!(location.contains("error_code=improperly_configured_sso"), "{location}");
}

/// N21: an address changes neither from nor to a domain that demands a provider, except between domains of one organization
#[tokio::test(flavor = "multi_thread")]
async fn addresses_change_within_one_organization_only() {
    let world = World::new().await;
    let (house, other) = (world.house("owner@example.com").await, world.house("other@example.com").await);
    let on = json!({ "sso_enforcement": "google" });
    house.prove(CORP, on.clone()).await;
    house.prove("corp.test", on.clone()).await;
    other.prove("elsewhere.example", on).await;
    let (inside, outside) = (world.app.member(ADA).await, world.app.member("bob@byron.test").await);
    let to = |email: &str| json!({ "email": email });
    for refused in ["ada@byron.test", "ada@elsewhere.example"] {
        inside.patch(ME, to(refused)).await.expect_problem(403, "sso_enforced");
    }
    outside.patch(ME, to("bob@corp.example")).await.expect_problem(403, "sso_enforced");
    outside.patch(ME, to("bob@byron.example")).await.expect(200);
    world.app.drain().await;
    // A demand that came after the question holds at the answer.
    let late =
        json!({ "email": "bob@byron.example", "code": code_in(&world.app.mail_to("bob@byron.example").await.text) });
    let domain = other.prove("byron.example", json!({ "sso_enforcement": "google" })).await;
    let confirm = "/api/email_verification/confirm";
    world.app.browser().post(confirm, late.clone()).await.expect_problem(403, "sso_enforced");
    other.update(&domain, json!({ "sso_enforcement": null })).await.expect(200);
    world.app.browser().post(confirm, late).await.expect(200);
    // The present address again takes a change back that waits.
    inside.patch(ME, to(ADA)).await.expect(200);
    inside.patch(ME, to("ada@corp.test")).await.expect(200);
    world.app.drain().await;
    let proof = json!({ "email": "ada@corp.test", "code": code_in(&world.app.mail_to("ada@corp.test").await.text) });
    world.app.browser().post(confirm, proof).await.expect(200);
    world.app.drain().await;
    assert_eq!(world.app.user("ada@corp.test").await.email, "ada@corp.test");
}
