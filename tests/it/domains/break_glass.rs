//! Owners who get in although the provider that their domain demands does not work.

use std::time::Duration;

use futures_util::future::join_all;
use harness::{Answer, Caller, OTHER_PASSWORD, PASSWORD, code_in};
use serde_json::{Value, json};

use super::{CORP, World, text};

const OWNER: &str = "owner@corp.example";
const MADE: &str = "A break-glass code of your organization was made";
const USED: &str = "A break-glass code was used to sign in";

async fn log_in(caller: &Caller<'_>, email: &str, password: &str, code: &str) -> Answer {
    let body = json!({ "email": email, "password": password, "break_glass_code": code });
    caller.post("/api/login", body).await
}

/// An organization whose owner has a password, a session and an address that its own domain sends to a provider. Returns
/// its path and the owner's session.
async fn locked_out(world: &World) -> (String, Caller<'_>) {
    let owner = world.app.browser();
    owner.sign_up_verified(OWNER).await;
    owner.log_in(OWNER, PASSWORD).await;
    let made = owner.post("/api/organizations", json!({ "name": "Acme" })).await.expect(200).json();
    let path = format!("/api/organizations/{}", text(&made["id"]));
    let domain = owner.post(&format!("{path}/domains"), json!({ "domain": CORP })).await.expect(200).json();
    world.names.set_txt(&text(&domain["challenge_record"]), &text(&domain["challenge_value"]));
    let one = format!("{path}/domains/{}", text(&domain["id"]));
    owner.post(&format!("{one}/verify"), json!({})).await.expect(200);
    owner.patch(&one, json!({ "sso_enforcement": "google" })).await.expect(200);
    (path, owner)
}

async fn make(world: &World, owner: &Caller<'_>, path: &str) -> String {
    let made = owner.post(&format!("{path}/break_glass_code"), json!({})).await.expect(200).json();
    world.app.drain().await;
    text(&made["value"])
}

/// The e-mail step of a login.
async fn finish(world: &World, browser: &Caller<'_>, login: &Value) -> Answer {
    world.app.drain().await;
    // The notice that the code was used may be newer.
    let code = code_in(&world.app.mails_about(OWNER, "Your code to sign in").await[0].text);
    let proof = json!({ "login_id": login["email_mfa"]["login_id"], "code": code });
    browser.post("/api/login/email_mfa", proof).await
}

/// N19, W23: with the provider gone nobody gets in but an owner with password, code and second step, once, audited and told
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_gets_in_once_although_the_provider_is_gone() {
    let world = World::new().await;
    let (path, owner) = locked_out(&world).await;
    let value = make(&world, &owner, &path).await;
    let mut config = (*world.app.kernel.config).clone();
    config.social.google.client_id.clear();
    let bare = world.app.gateway_with_config(config);
    let browser = world.app.browser().through(&bare);
    let begun = browser.get("/api/login/sso/google").await.expect(303);
    let location = begun.header("location").expect("a redirect");
    assert!(location.contains("improperly_configured_sso"), "{location}");
    let plain = json!({ "email": OWNER, "password": PASSWORD });
    browser.post("/api/login", plain.clone()).await.expect_problem(403, "sso_enforced");

    let login = log_in(&browser, OWNER, PASSWORD, &value).await.expect(200).json();
    assert_eq!(login["status"], "email_mfa_required");
    assert_eq!(finish(&world, &browser, &login).await.expect(200).json()["status"], "signed_in");
    world.app.drain().await;
    assert_eq!(browser.get(&path).await.expect(200).json()["role"], "owner");
    assert_eq!(world.app.mails_about(OWNER, MADE).await.len(), 1);
    assert_eq!(world.app.mails_about(OWNER, USED).await.len(), 1);
    let uses = world.audited("break_glass.use").await;
    assert_eq!(uses.iter().filter(|(outcome, _)| outcome == "success").count(), 1, "{uses:?}");
    // Spent; and nothing keeps it.
    log_in(&world.app.browser(), OWNER, PASSWORD, &value).await.expect_problem(403, "sso_enforced");
    assert!(!world.app.dump().await.contains(&value));
    world.app.browser().post("/api/login", plain).await.expect_problem(403, "sso_enforced");
}

/// N19: of several at once one gets in
#[tokio::test(flavor = "multi_thread")]
async fn a_code_works_once_whatever_happens_at_once() {
    let world = World::new().await;
    let (path, owner) = locked_out(&world).await;
    let value = make(&world, &owner, &path).await;
    let browsers: Vec<Caller<'_>> = (0..4).map(|_| world.app.browser()).collect();
    let answers = join_all(browsers.iter().map(|browser| log_in(browser, OWNER, PASSWORD, &value))).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(won, 1, "{:?}", answers.iter().map(|answer| &answer.text).collect::<Vec<_>>());
    world.app.drain().await;
    assert_eq!(world.app.mails_about(OWNER, USED).await.len(), 1);
}

/// N19: without the right password, without the role, for another organization, replaced or taken back it opens nothing
#[tokio::test(flavor = "multi_thread")]
async fn a_code_opens_nothing_for_others() {
    let world = World::new().await;
    let (path, owner) = locked_out(&world).await;
    let domains = owner.get(&format!("{path}/domains")).await.expect(200).json();
    let one = format!("{path}/domains/{}", text(&domains["items"][0]["id"]));
    // An admin with a password of the same domain.
    owner.patch(&one, json!({ "sso_enforcement": null })).await.expect(200);
    world.app.browser().sign_up_verified("admin@corp.example").await;
    world.app.join("Acme", "admin@corp.example", "admin").await;
    owner.patch(&one, json!({ "sso_enforcement": "google" })).await.expect(200);
    let replaced = make(&world, &owner, &path).await;
    let value = make(&world, &owner, &path).await;
    let browser = world.app.browser();
    log_in(&browser, OWNER, OTHER_PASSWORD, &value).await.expect_problem(401, "invalid_credentials");
    log_in(&browser, "admin@corp.example", PASSWORD, &value).await.expect_problem(401, "invalid_credentials");
    log_in(&browser, "nobody@corp.example", PASSWORD, &value).await.expect_problem(401, "invalid_credentials");
    for wrong in [replaced.as_str(), "", "gpbg_x"] {
        log_in(&browser, OWNER, PASSWORD, wrong).await.expect_problem(403, "sso_enforced");
    }
    let house = world.house("other@example.com").await;
    let foreign = house.owner.post(&format!("/api/organizations/{}/break_glass_code", house.id), json!({})).await;
    let foreign = text(&foreign.expect(200).json()["value"]);
    log_in(&browser, OWNER, PASSWORD, &foreign).await.expect_problem(403, "sso_enforced");
    // What the configuration demands no organization lifts.
    let mut config = (*world.app.kernel.config).clone();
    config.domains.sso_enforced = harness::enforcing(&["corp.example=google"]).sso_enforced;
    let ruled = world.app.gateway_with_config(config);
    let ruled = world.app.browser().through(&ruled);
    log_in(&ruled, OWNER, PASSWORD, &value).await.expect_problem(403, "sso_enforced");
    owner.delete(&format!("{path}/break_glass_code")).await.expect(204);
    log_in(&browser, OWNER, PASSWORD, &value).await.expect_problem(403, "sso_enforced");
    world.app.drain().await;
    assert_eq!(world.app.mails_about(OWNER, USED).await.len(), 0);
}

/// N19: owners alone make codes and take them back, with a recent proof of identity
#[tokio::test(flavor = "multi_thread")]
async fn owners_alone_make_codes() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    let admin = world.app.member("admin@example.com").await;
    world.app.join("Acme", "admin@example.com", "admin").await;
    let path = format!("/api/organizations/{}/break_glass_code", house.id);
    admin.post(&path, json!({})).await.expect_problem(403, "forbidden");
    admin.delete(&path).await.expect_problem(403, "forbidden");
    house.owner.post(&path, json!({})).await.expect(200);
    world.app.drain().await;
    for told in ["owner@example.com", "admin@example.com"] {
        assert_eq!(world.app.mails_about(told, MADE).await.len(), 1, "{told}");
    }
    world.app.advance(Duration::from_secs(world.app.kernel.config.sessions.sensitive_within_seconds + 1));
    house.owner.post(&path, json!({})).await.expect_problem(403, "sensitive_action_required_reauth");
    house.owner.delete(&path).await.expect_problem(403, "sensitive_action_required_reauth");
}
