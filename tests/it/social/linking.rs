//! Linking and unlinking by the signed-in user.

use std::time::Duration;

use harness::{Answer, Authenticator, Caller};
use serde_json::Value;

use super::{
    ADA, BOB, LINKED, PASSWORD, Person, SESSION, Url, World, audited, begin, enforcing, error_code, json, linked, me,
    sent_to, with_password,
};
use crate::passkey::add;

/// Begins to link, as the signed-in user of this browser.
async fn start(browser: &Caller<'_>, name: &str) -> Answer {
    browser.post(&format!("{LINKED}/{name}/link"), json!({ "next": "/account?linked=1" })).await
}

/// Links an identity, with a proof of identity that is fresh; returns the answer to the callback.
async fn link(world: &World, browser: &Caller<'_>, name: &str, person: &Person) -> Answer {
    let started = start(browser, name).await.expect(200).json();
    browser.get(&world.approve(&address(&started), person)).await.expect(303)
}

fn address(started: &Value) -> Url {
    Url::parse(started["authorization_url"].as_str().expect("an address")).expect("an address")
}

async fn unlink(browser: &Caller<'_>, account: &Value) -> Answer {
    browser.delete(&format!("{LINKED}/{}", account["id"].as_str().expect("an id"))).await
}

/// M11, M13, Q06, T-OIDC-08: a user links and unlinks an identity; both are told by mail and audited, and after the second it
/// signs nobody in to this account.
#[tokio::test(flavor = "multi_thread")]
async fn linking_and_unlinking_are_told() {
    let world = World::new().await;
    let app = &world.app;
    let browser = with_password(app, ADA).await;
    let person = Person::of("1", ADA);
    assert_eq!(sent_to(&link(&world, &browser, "corp", &person).await), "/account?linked=1");
    app.drain().await;
    assert_eq!(app.mail_to(ADA).await.subject, "The corp was linked to your account");
    let accounts = linked(&browser).await;
    assert_eq!((accounts.len(), accounts[0]["provider_name"].as_str()), (1, Some("The corp")));
    assert!(accounts[0].get("last_used_at").is_none(), "{}", accounts[0]);
    let id = me(&browser).await["id"].clone();
    assert_eq!(me(&world.signed_in("corp", &person).await).await["id"], id);
    // Linking it once more changes nothing.
    assert_eq!(sent_to(&link(&world, &browser, "corp", &person).await), "/account?linked=1");
    assert_eq!(linked(&browser).await.len(), 1);
    unlink(&browser, &accounts[0]).await.expect(204);
    app.drain().await;
    assert_eq!(app.mail_to(ADA).await.subject, "The corp was unlinked from your account");
    assert!(linked(&browser).await.is_empty());
    unlink(&browser, &accounts[0]).await.expect_problem(404, "linked_account_not_found");
    for (action, count) in [("social.start_link", 2), ("social.link", 1), ("social.unlink", 2)] {
        assert_eq!(audited(app, action).await.len(), count, "{action}");
    }
}

/// T-OIDC-06: what is not vouched for can be linked from inside, where the user says whose it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_provider_is_linked_from_inside() {
    let world = World::new().await;
    let browser = with_password(&world.app, ADA).await;
    let person = Person { is_verified: None, ..Person::of("1", ADA) };
    assert_eq!(sent_to(&link(&world, &browser, "other", &person).await), "/account?linked=1");
    world.app.drain().await;
    assert_eq!(me(&world.signed_in("other", &person).await).await["email"], ADA);
}

/// M09, T-OIDC-08: a user who is signed in and goes to a provider is not linked to whoever signs in there; a link is asked
/// for, with a fresh proof of identity.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_linked_without_being_asked_for() {
    let world = World::new().await;
    let app = &world.app;
    let browser = with_password(app, ADA).await;
    assert_eq!(sent_to(&world.sign_in(&browser, "google", &Person::of("2", BOB)).await), "/account");
    app.drain().await;
    assert_eq!(me(&browser).await["email"], BOB, "another account, and not Ada's");

    let browser = app.browser();
    browser.log_in(ADA, PASSWORD).await;
    assert!(linked(&browser).await.is_empty());
    app.advance(Duration::from_secs(301));
    start(&browser, "google").await.expect_problem(403, "sensitive_action_required_reauth");
    browser.post("/api/users/@me/reauthenticate", json!({ "password": PASSWORD })).await.expect(200);
    start(&browser, "google").await.expect(200);
    start(&browser, "nobody").await.expect_problem(400, "invalid_sso_provider");
    assert_eq!(world.count("social_identities").await, 1);
}

/// M09: with a second factor the proof has to be one of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_proven_before_a_link() {
    let world = World::new().await;
    let browser = with_password(&world.app, ADA).await;
    link(&world, &browser, "google", &Person::of("1", ADA)).await;
    world.app.drain().await;
    let account = linked(&browser).await.remove(0);
    browser.enable_totp().await;
    start(&browser, "corp").await.expect_problem(403, "sensitive_action_required_reauth");
    unlink(&browser, &account).await.expect_problem(403, "sensitive_action_required_reauth");
}

/// M09: a link ends in the session that asked for it: not in another one, not after it, and not as a sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_belongs_to_the_session_that_asked_for_it() {
    let world = World::new().await;
    let app = &world.app;
    let browser = with_password(app, ADA).await;
    let callback = async || {
        let started = start(&browser, "google").await.expect(200).json();
        world.approve(&address(&started), &Person::of("1", ADA))
    };
    let own = browser.cookie(SESSION).expect("a session");
    let eve = with_password(app, "eve@example.test").await;
    let waiting = callback().await;
    browser.set_cookie(SESSION, &eve.cookie(SESSION).expect("a session"));
    assert_eq!(error_code(&browser.get(&waiting).await), "invalid_sso_state");
    let waiting = {
        browser.set_cookie(SESSION, &own);
        callback().await
    };
    browser.set_cookie(SESSION, "");
    let answer = browser.get(&waiting).await;
    assert!(error_code(&answer) == "invalid_sso_state" && answer.set_cookie(SESSION).is_none());
    assert_eq!(world.count("social_identities").await, 0);
}

/// M10: an identity of another account is refused, and nothing changes.
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_of_another_account_is_refused() {
    let world = World::with(|config| config.social.link_requires_same_email = false).await;
    let bob = Person::of("1", BOB);
    world.signed_in("google", &bob).await;
    let browser = with_password(&world.app, ADA).await;
    let answer = link(&world, &browser, "google", &bob).await;
    assert_eq!(error_code(&answer), "sso_identity_in_use");
    let page = browser.get(sent_to(&answer)).await.expect(200);
    assert!(page.text.contains("linked to another account"), "{}", page.text);
    assert_eq!((world.count("social_identities").await, linked(&browser).await.len()), (1, 0));
    assert_eq!(me(&world.signed_in("google", &bob).await).await["email"], BOB);
}

/// M11: an identity with another address is refused, unless the installation says otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn the_address_has_to_be_the_same() {
    for is_demanded in [true, false] {
        let world = World::with(move |config| config.social.link_requires_same_email = is_demanded).await;
        let browser = with_password(&world.app, ADA).await;
        for (subject, email, is_same) in
            [("1", Some(BOB), false), ("2", None, false), ("3", Some("ADA@lovelace.test"), true)]
        {
            let person = Person { email: email.map(str::to_owned), ..Person::of(subject, ADA) };
            let code = error_code(&link(&world, &browser, "google", &person).await);
            let refusal = if is_same || !is_demanded { "" } else { "sso_email_mismatch" };
            assert_eq!(code, refusal, "{email:?}");
        }
        world.app.drain().await;
        assert_eq!(linked(&browser).await.len(), if is_demanded { 1 } else { 3 });
    }
}

/// M12, T-OIDC-08: the last way to sign in stays: a password, a passkey and another provider that is set up count, one that
/// is not set up any more does not.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_way_to_sign_in_stays() {
    let world = World::new().await;
    let app = &world.app;
    let browser = world.signed_in("google", &Person::of("1", ADA)).await;
    let only = linked(&browser).await.remove(0);
    unlink(&browser, &only).await.expect_problem(409, "last_login_method");
    assert_eq!(linked(&browser).await.len(), 1);
    // A second provider, of which one may go.
    link(&world, &browser, "corp", &Person::of("1", ADA)).await;
    app.drain().await;
    let mut config = (*app.kernel.config).clone();
    config.social.oidc.clear();
    let without = app.gateway_with_config(config);
    let there = app.browser().through(&without);
    there.set_cookie(SESSION, &browser.cookie(SESSION).expect("a session"));
    unlink(&there, &only).await.expect_problem(409, "last_login_method");
    unlink(&browser, &only).await.expect(204);
    let last = linked(&browser).await.remove(0);
    unlink(&browser, &last).await.expect_problem(409, "last_login_method");
    // A passkey is a way; without the provider it is the last one.
    let mut passkey = Authenticator::new(&app.origin());
    let passkey = add(app, &browser, &mut passkey).await;
    let path = format!("/api/users/@me/passkeys/{}", passkey["id"].as_str().expect("an id"));
    there.delete(&path).await.expect_problem(409, "last_login_method");
    unlink(&browser, &last).await.expect(204);
    browser.delete(&path).await.expect_problem(409, "last_login_method");
    app.drain().await;
}

/// M12: of two requests that unlink the last two identities at once, one is refused.
#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_do_not_take_away_the_last_way() {
    let world = World::new().await;
    let browser = world.signed_in("google", &Person::of("1", ADA)).await;
    link(&world, &browser, "corp", &Person::of("1", ADA)).await;
    world.app.drain().await;
    let accounts = linked(&browser).await;
    let (one, other) = tokio::join!(unlink(&browser, &accounts[0]), unlink(&browser, &accounts[1]));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
    world.app.drain().await;
}

/// M14: no identity of another provider is linked to an account whose domain demands one.
#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_demands_a_provider_takes_no_other_link() {
    let world = World::new().await;
    let app = &world.app;
    let person = Person::of("1", "ada@corp.example");
    let browser = world.signed_in("google", &person).await;
    let config = (*app.kernel.config).clone();
    let config = shared::config::Config { domains: enforcing("corp.example=google"), ..config };
    let gateway = app.gateway_with_config(config);
    let there = app.browser().through(&gateway);
    there.set_cookie(SESSION, &browser.cookie(SESSION).expect("a session"));
    start(&there, "gitlab").await.expect_problem(403, "sso_enforced");
    start(&there, "google").await.expect(200);
    // Begun before the demand, finished after it.
    let callback = world.approve(&address(&start(&browser, "gitlab").await.expect(200).json()), &person);
    there.set_cookie(super::BINDING, &browser.cookie(super::BINDING).expect("a binding"));
    assert_eq!(error_code(&there.get(&callback).await), "google_sso_enforced");
}

/// M13: linked accounts are listed in pages, each user's their own, and nobody else's can be unlinked.
#[tokio::test(flavor = "multi_thread")]
async fn linked_accounts_are_their_users_own() {
    let world = World::new().await;
    let browser = world.signed_in("google", &Person::of("1", ADA)).await;
    for name in ["gitlab", "github", "corp"] {
        link(&world, &browser, name, &Person::of("1", ADA)).await;
    }
    world.app.drain().await;
    let page = browser.get(&format!("{LINKED}?limit=3")).await.expect(200).json();
    let names = |page: &Value| {
        let items = page["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item["provider"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&page), ["corp", "github", "gitlab"]);
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let rest = browser.get(&format!("{LINKED}?limit=3&cursor={cursor}")).await.expect(200).json();
    assert_eq!((names(&rest), rest.get("next_cursor")), (vec!["google".to_owned()], None));
    let eve = world.signed_in("google", &Person::of("2", "eve@example.test")).await;
    assert_eq!(linked(&eve).await.len(), 1);
    unlink(&eve, &page["items"][0]).await.expect_problem(404, "linked_account_not_found");
    begin(&eve, "google").await;
}
