//! Claiming domains, and saying what holds for them.

use harness::TestApp;
use serde_json::{Value, json};

use super::{CORP, World, text};

/// N01: the domain is stored in one spelling, whatever script it was written in, once, and never changes
#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_claimed_once_in_whatever_spelling() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    let domain = house.claim("  Bücher.Example.\n").await;
    assert_eq!(domain["domain"], "xn--bcher-kva.example");
    assert_eq!(domain["challenge_record"], "_gatepost-challenge.xn--bcher-kva.example");
    assert_eq!((&domain["is_verified"], &domain["jit_provisioning"]), (&json!(false), &json!(false)));
    assert!(text(&domain["challenge_value"]).len() >= 43, "{domain}");
    for absent in ["verified_at", "last_checked_at", "sso_enforcement"] {
        assert!(domain.get(absent).is_none(), "{domain}");
    }
    for again in ["bücher.example", "BU\u{308}CHER.example", "xn--bcher-kva.example", "XN--BCHER-KVA.EXAMPLE."] {
        let answer = house.owner.post(&house.path(""), json!({ "domain": again })).await;
        answer.expect_problem(409, "domain_exists");
    }
    assert_eq!(house.get(&domain).await, domain);
    let renamed = house.update(&domain, json!({ "domain": "other.example" })).await;
    assert_eq!(renamed.status, 422, "{}", renamed.text);
    assert_eq!(house.get(&domain).await, domain);

    let second = house.claim(CORP).await;
    assert_ne!(second["challenge_value"], domain["challenge_value"]);
    let page = house.owner.get(&house.path("?limit=1")).await.expect(200).json();
    assert_eq!(page["items"], json!([second]));
    let rest = house.owner.get(&house.path(&format!("?cursor={}", text(&page["next_cursor"])))).await.expect(200);
    assert_eq!(rest.json(), json!({ "items": [domain] }));
    let claims = world.audited("domains.create").await;
    assert_eq!(claims.iter().filter(|(outcome, _)| outcome == "success").count(), 2);
    assert_eq!(claims.iter().filter(|(outcome, _)| outcome == "failure").count(), 4);
}

/// N01: what is no domain of addresses is refused, with the field at fault
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_domain_is_refused() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    let long = format!("{}.example", vec!["a".repeat(63); 4].join("."));
    for wrong in [
        "",
        " ",
        "localhost",
        "com",
        "example..com",
        ".example.com",
        "-a.example",
        "a_b.example",
        "a b.example",
        "127.0.0.1",
        "[::1]",
        "ada@corp.example",
        "https://corp.example",
        "corp.example/x",
        "*.corp.example",
        "a＠b.test",
        long.as_str(),
    ] {
        let answer = house.owner.post(&house.path(""), json!({ "domain": wrong })).await;
        let problem = answer.expect_problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/domain", "{wrong}");
    }
    assert_eq!(house.owner.get(&house.path("")).await.expect(200).json(), json!({ "items": [] }));
}

/// N01: members see domains and change nothing, strangers see nothing; refusals are audited
#[tokio::test(flavor = "multi_thread")]
async fn administrators_alone_change_domains() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    let domain = house.claim(CORP).await;
    let member = world.app.member("member@example.com").await;
    world.app.join("Acme", "member@example.com", "member").await;
    let stranger = world.house("stranger@example.com").await;
    let (all, one) = (house.path(""), house.path(&format!("/{}", text(&domain["id"]))));
    let verify = format!("{one}/verify");
    assert_eq!(member.get(&one).await.expect(200).json(), domain);
    let body = json!({ "domain": "other.example" });
    member.post(&all, body.clone()).await.expect_problem(403, "forbidden");
    member.patch(&one, json!({ "jit_provisioning": false })).await.expect_problem(403, "forbidden");
    member.post(&verify, json!({})).await.expect_problem(403, "forbidden");
    member.delete(&one).await.expect_problem(403, "forbidden");
    for answer in [
        stranger.owner.get(&all).await,
        stranger.owner.post(&all, body).await,
        stranger.owner.get(&one).await,
        stranger.owner.post(&verify, json!({})).await,
        stranger.owner.delete(&one).await,
    ] {
        answer.expect_problem(404, "organization_not_found");
    }
    // An id of another organization is none of one's own.
    let foreign = stranger.path(&format!("/{}", text(&domain["id"])));
    stranger.owner.get(&foreign).await.expect_problem(404, "domain_not_found");
    stranger.owner.post(&format!("{foreign}/verify"), json!({})).await.expect_problem(404, "domain_not_found");
    stranger.owner.delete(&foreign).await.expect_problem(404, "domain_not_found");
    assert_eq!(world.names.count(super::RECORD), 0);
    for (action, times) in [("domains.update", 1), ("domains.verify", 2), ("domains.delete", 2)] {
        let rows = world.audited(action).await;
        let refused = rows.iter().filter(|(outcome, _)| outcome == "failure").count();
        assert!(refused >= times, "{action}: {rows:?}");
        assert_eq!(rows.len(), refused, "{action}");
    }
    house.owner.delete(&one).await.expect(204);
    house.owner.get(&one).await.expect_problem(404, "domain_not_found");
}

/// N01: a claim that is sent again with its key is one claim; there are as many as the installation allows
#[tokio::test(flavor = "multi_thread")]
async fn claims_are_repeatable_and_limited() {
    let world = World::with(|config| config.domains.max_per_organization = 2).await;
    let house = world.house("owner@example.com").await;
    let token = world.app.open_session(&world.app.user("owner@example.com").await).await;
    let claim = async |key: &str, domain: &str| {
        let caller = world.app.browser().bearer(&token).header("idempotency-key", key);
        caller.post(&house.path(""), json!({ "domain": domain })).await
    };
    let first = claim("one", CORP).await.expect(200).json();
    assert_eq!(claim("one", CORP).await.expect(200).json(), first);
    claim("one", "other.example").await.expect_problem(409, "idempotency_key_reused");
    claim("two", "other.example").await.expect(200);
    claim("three", "third.example").await.expect_problem(409, "limit_reached");
}

/// N06: nothing is turned on before the proof; afterwards by a provider that there is, and off in any case
#[tokio::test(flavor = "multi_thread")]
async fn settings_need_a_proof_and_a_provider() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    let domain = house.claim(CORP).await;
    for wish in [
        json!({ "jit_provisioning": true }),
        json!({ "sso_enforcement": "google" }),
        json!({ "include_subdomains": true }),
    ] {
        house.update(&domain, wish).await.expect_problem(409, "verification_required");
    }
    let off = json!({ "jit_provisioning": false, "sso_enforcement": null, "include_subdomains": false });
    house.update(&domain, off.clone()).await.expect(200);
    house.publish(&domain);
    house.verify(&domain).await.expect(200);
    for unknown in ["github", "saml", "nobody", ""] {
        let answer = house.update(&domain, json!({ "sso_enforcement": unknown })).await;
        let problem = answer.expect_problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["code"], "unknown_provider", "{problem}");
    }
    let on = json!({ "jit_provisioning": true, "sso_enforcement": "google", "include_subdomains": true });
    let updated = house.update(&domain, on.clone()).await.expect(200).json();
    for (name, value) in on.as_object().expect("members") {
        assert_eq!(&updated[name], value);
    }
    let same = house.update(&domain, json!({})).await.expect(200).json();
    assert_eq!(same["sso_enforcement"], "google");
    let updated = house.update(&domain, off).await.expect(200).json();
    assert_eq!((updated.get("sso_enforcement"), &updated["jit_provisioning"]), (None, &json!(false)));
    let last = world.audited("domains.update").await;
    assert!(last.iter().any(|(_, detail)| detail["sso_enforcement"] == "google"), "{last:?}");
}

/// N01: what holds for a domain is changed, and a domain given up, with a recent proof of identity
#[tokio::test(flavor = "multi_thread")]
async fn settings_need_a_recent_proof_of_identity() {
    let app = TestApp::new().await;
    let owner = app.member("owner@example.com").await;
    let made = owner.post("/api/organizations", json!({ "name": "Acme" })).await.expect(200).json();
    let path = format!("/api/organizations/{}/domains", text(&made["id"]));
    let domain: Value = owner.post(&path, json!({ "domain": CORP })).await.expect(200).json();
    let one = format!("{path}/{}", text(&domain["id"]));
    app.advance(std::time::Duration::from_secs(app.kernel.config.sessions.sensitive_within_seconds + 1));
    for answer in [owner.patch(&one, json!({ "jit_provisioning": false })).await, owner.delete(&one).await] {
        answer.expect_problem(403, "sensitive_action_required_reauth");
    }
    owner.get(&one).await.expect(200);
}

/// N01: a deleted organization leaves no domain behind, and what it demanded ends with it
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_organization_demands_nothing() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    house.prove(CORP, json!({ "sso_enforcement": "google" })).await;
    let login = json!({ "email": "ada@corp.example", "password": harness::PASSWORD });
    world.app.browser().post("/api/login", login.clone()).await.expect_problem(403, "sso_enforced");
    let project = json!({ "name": "Site", "organization_id": house.id });
    house.owner.post("/api/projects", project).await.expect(200);
    house.owner.delete(&format!("/api/organizations/{}", house.id)).await.expect(204);
    world.app.browser().post("/api/login", login).await.expect_problem(401, "invalid_credentials");
    let next = world.house("next@example.com").await;
    next.prove(CORP, json!({})).await;
    world.app.forget_jobs();
}
