//! Signing in: to a provider and back, and what follows the first step.

use harness::{code_in, provider::Outage};
use shared::{config::Config, rate_limit::Limit};

use super::{
    ADA, BINDING, BOB, ME, Person, SESSION, Url, World, assert_refused, audited, begin, enforcing, error_code, json,
    linked, me, sent_to, with_password,
};

/// M01, M05: each kind of provider signs in end to end: the first sign-in makes an account, the next one finds it.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_provider_signs_in() {
    let world = World::new().await;
    for (number, name) in ["google", "gitlab", "github", "corp"].into_iter().enumerate() {
        let person = Person::of(&format!("{}", 100 + number), &format!("ada{number}@lovelace.test"));
        let browser = world.signed_in(name, &person).await;
        let user = me(&browser).await;
        assert_eq!((user["email"].as_str(), &user["email_verified"]), (person.email.as_deref(), &json!(true)));
        assert_eq!((user["first_name"].as_str(), user["last_name"].as_str()), (Some("Ada"), Some("Lovelace")));
        let again = world.signed_in(name, &person).await;
        assert_eq!(me(&again).await["id"], user["id"]);
        let account = &linked(&again).await[0];
        assert_eq!((account["provider"].as_str(), &account["email"]), (Some(name), &user["email"]));
        assert!(account["last_used_at"].is_string(), "{account}");
    }
    assert_eq!((world.count("users").await, world.count("social_identities").await), (4, 4));
    let amr = world.app.number("SELECT COUNT(*) AS number FROM sessions WHERE amr = 'fed'").await;
    assert_eq!(amr, 8);
}

/// M05: who comes first to an installation owns its first organization, by whichever way; when newcomers are not let in,
/// nothing is created.
#[tokio::test(flavor = "multi_thread")]
async fn newcomers_are_let_in_where_they_may() {
    let world = World::new().await;
    let browser = world.signed_in("google", &Person::of("1", ADA)).await;
    let organizations = browser.get("/api/organizations").await.expect(200).json();
    assert_eq!(organizations["items"].as_array().map(Vec::len), Some(1), "{organizations}");

    let world = World::with(|config| config.social.allow_signup = false).await;
    world.refused("google", &Person::of("1", ADA), "sso_signup_disabled").await;
    assert_eq!((world.count("users").await, world.count("social_identities").await), (0, 0));
    with_password(&world.app, ADA).await;
    world.signed_in("google", &Person::of("1", ADA)).await;
}

/// M02: a provider that there is not, and one that is not set up, lead back to the sign-in page with a code that it tells.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_unconfigured_providers_lead_back() {
    let world = World::with(|config| config.social.github.client_id.clear()).await;
    let browser = world.app.browser();
    for (name, code) in [("nobody", "invalid_sso_provider"), ("github", "improperly_configured_sso")] {
        let answer = browser.get(&format!("/api/login/sso/{name}?next=%2Finvite")).await;
        assert_refused(&browser, &answer, code).await;
        assert!(sent_to(&answer).contains("next=%2Finvite"), "{}", sent_to(&answer));
        let answer = browser.get(&format!("/api/complete/{name}?code=x&state=y")).await;
        assert_refused(&browser, &answer, "invalid_sso_state").await;
    }
    let page = browser.get("/login?error_code=%3Cb%3Ehello").await.expect(200);
    assert!(!page.text.contains("hello"), "words of others are not shown");
}

/// M01: the sign-in page has a link for each provider that is set up, which keeps where one was going.
#[tokio::test(flavor = "multi_thread")]
async fn the_sign_in_page_offers_what_is_set_up() {
    let world = World::with(|config| config.social.gitlab.client_id.clear()).await;
    let page = world.app.browser().get("/login?next=%2Finvite%3Fa%3D1").await.expect(200);
    for name in ["Google", "GitHub", "The corp", "The other"] {
        assert!(page.text.contains(&format!("Continue with {name}")), "{}", page.text);
    }
    assert!(!page.text.contains("GitLab"));
    let address = "/api/login/sso/google?next=%2Finvite%3Fa%3D1";
    assert!(page.text.replace("&#x2f;", "/").contains(address), "{}", page.text);
}

/// W38: another site begins no sign-in for somebody: who is sent by one comes to the sign-in page.
#[tokio::test(flavor = "multi_thread")]
async fn another_site_begins_no_sign_in() {
    let world = World::new().await;
    let sent_by = |site: &str| world.app.browser().header("sec-fetch-site", site);
    for site in ["cross-site", "same-site"] {
        let answer = sent_by(site).get("/api/login/sso/google?next=%2Finvite").await.expect(303);
        assert_eq!(sent_to(&answer), "/login?next=%2Finvite", "{site}");
        assert!(answer.set_cookie(BINDING).is_none());
    }
    assert_eq!(world.count("social_logins").await, 0);
    for site in ["same-origin", "none"] {
        begin(&sent_by(site), "google").await;
    }
    assert_eq!(world.count("social_logins").await, 2);
}

/// M03, W20, T-OIDC-10: what the provider is asked: a code, with state, nonce and a PKCE challenge by S256, never twice the same,
/// and the provider gets the verifier that belongs to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_state_nonce_and_challenge() {
    let world = World::new().await;
    let browser = world.app.browser();
    let asked = |url: &Url, name: &str| {
        let value = url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        value.unwrap_or_else(|| panic!("{name} is missing in {url}"))
    };
    let (first, second) = (begin(&browser, "google").await, begin(&browser, "google").await);
    for (name, length) in [("state", 64), ("nonce", 43), ("code_challenge", 43)] {
        let (one, other) = (asked(&first, name), asked(&second, name));
        assert!(one != other && one.len() == length, "{name}: {one} {other}");
    }
    assert_eq!(asked(&first, "code_challenge_method"), "S256");
    assert_eq!(asked(&first, "redirect_uri"), format!("{}/api/complete/google", world.app.origin()));
    assert_eq!(asked(&first, "scope"), "openid email profile");
    // A request whose challenge was taken out, or that asks for another one, is worth nothing at the provider.
    let mut without = first.clone();
    let others: Vec<_> = first.query_pairs().into_owned().collect();
    without.query_pairs_mut().clear().extend_pairs(others.iter().map(|(name, value)| match name.as_str() {
        "code_challenge" => (name.as_str(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        _ => (name.as_str(), value.as_str()),
    }));
    let answer = browser.get(&world.approve(&without, &Person::of("1", ADA))).await;
    assert_refused(&browser, &answer, "sso_rejected").await;
}

/// M03, M04: a callback works once, within ten minutes, in the browser that began; a code works once.
#[tokio::test(flavor = "multi_thread")]
async fn a_callback_works_once_and_in_time() {
    let world = World::new().await;
    let person = Person::of("1", ADA);
    let browser = world.app.browser();
    let callback = world.approve(&begin(&browser, "google").await, &person);
    assert_eq!(sent_to(&browser.get(&callback).await), "/account");
    world.app.drain().await;
    let stranger = world.app.browser();
    stranger.set_cookie(BINDING, &browser.cookie(BINDING).expect("a binding"));
    assert_refused(&stranger, &stranger.get(&callback).await, "invalid_sso_state").await;
    // Another sign-in with the code of the first one.
    let url = begin(&stranger, "google").await;
    let (fresh, spent) = (world.approve(&url, &person), callback);
    let code =
        |callback: &str| callback.split("code=").nth(1).expect("a code").split('&').next().expect("a code").to_owned();
    let mixed = fresh.replace(&code(&fresh), &code(&spent));
    assert_refused(&stranger, &stranger.get(&mixed).await, "sso_rejected").await;

    let url = begin(&stranger, "google").await;
    world.app.advance(std::time::Duration::from_secs(601));
    let late = world.approve(&url, &person);
    assert_refused(&stranger, &stranger.get(&late).await, "invalid_sso_state").await;
}

/// M03, M04, T-OIDC-03: a state of another browser, of another provider, an altered one and none are refused, and nobody is
/// signed in; the browser that it belongs to can still use it.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_belongs_to_its_browser_and_provider() {
    let world = World::new().await;
    let person = Person::of("1", ADA);
    let browser = world.app.browser();
    let callback = world.approve(&begin(&browser, "google").await, &person);
    let other = world.app.browser();
    assert_refused(&other, &other.get(&callback).await, "invalid_sso_state").await;
    begin(&other, "google").await;
    assert_refused(&other, &other.get(&callback).await, "invalid_sso_state").await;
    for altered in [
        callback.replace("/complete/google", "/complete/gitlab"),
        callback.split("&state=").next().expect("a callback").to_owned(),
        callback.replace("&state=", "&state=A"),
        "/api/complete/google".to_owned(),
    ] {
        assert_refused(&browser, &browser.get(&altered).await, "invalid_sso_state").await;
    }
    assert_eq!(world.provider.count("/token"), 0, "nothing was asked of the provider");
    let answer = browser.get(&callback).await;
    assert_eq!(sent_to(&answer), "/account");
    assert!(answer.set_cookie(SESSION).expect("a session").contains("; HttpOnly; SameSite=Lax"));
    world.app.drain().await;
    assert!(audited(&world.app, "social.complete").await.iter().all(|row| row["reason"] == "invalid_sso_state"));
}

/// M03: two pages of one browser sign in side by side, and the binding is a cookie that scripts and other sites do not see.
#[tokio::test(flavor = "multi_thread")]
async fn two_pages_of_one_browser_do_not_disturb_each_other() {
    let world = World::new().await;
    let browser = world.app.browser();
    let answer = browser.get("/api/login/sso/google").await.expect(303);
    let line = answer.set_cookie(BINDING).expect("a binding");
    assert!(line.contains("; HttpOnly; SameSite=Lax") && line.contains("Max-Age=600"), "{line}");
    let first = Url::parse(sent_to(&answer)).expect("an address");
    begin(&browser, "gitlab").await;
    let answer = browser.get(&world.approve(&first, &Person::of("1", ADA))).await;
    assert_eq!(sent_to(&answer), "/account");
    world.app.drain().await;
}

/// M18, T-OIDC-11: where one goes afterwards is a path of this installation, whatever was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn afterwards_one_stays_here() {
    let world = World::new().await;
    let person = Person::of("1", ADA);
    let long = format!("/{}", "a".repeat(8_000));
    for (next, arrives) in [
        ("%2Finvite%3Fa%3D1", "/invite?a=1"),
        ("%2F%2Fevil.example", "/account"),
        ("%2F%5Cevil.example", "/account"),
        ("https%3Aevil.example", "/account"),
        ("%252f%252fevil.example", "/account"),
        ("javascript%3Aalert(1)", "/account"),
        ("%2Fa%0D%0ASet-Cookie%3A%20x%3Dy", "/account"),
        (long.as_str(), "/account"),
    ] {
        let browser = world.app.browser();
        let answer = browser.get(&format!("/api/login/sso/google?next={next}")).await.expect(303);
        let url = Url::parse(sent_to(&answer)).expect("an address");
        let answer = browser.get(&world.approve(&url, &person)).await.expect(303);
        assert_eq!(sent_to(&answer), arrives, "{next}");
        world.app.drain().await;
    }
}

/// M01: a second factor is demanded after a provider as after a password, once; an organization's trust in the provider
/// is about those who have none.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_still_due() {
    let world = World::new().await;
    let app = &world.app;
    let (authenticator, _) = with_password(app, ADA).await.enable_totp().await;
    let browser = app.browser();
    let answer = world.sign_in(&browser, "google", &Person::of("1", ADA)).await;
    app.drain().await;
    assert!(sent_to(&answer).starts_with("/login/two_factor?login_id="), "{}", sent_to(&answer));
    assert!(answer.set_cookie(SESSION).is_none());
    browser.get(ME).await.expect(401);
    let login_id = sent_to(&answer).split("login_id=").nth(1).expect("an id").split('&').next().expect("an id");
    let body = json!({ "login_id": login_id, "code": authenticator.code(app.now()), "remember_device": true });
    let login = browser.post("/api/login/two_factor", body).await.expect(200).json();
    assert_eq!(login["session"]["amr"], json!(["fed", "otp", "mfa"]), "{login}");
    app.drain().await;
    // This browser is trusted for the second step from now on.
    assert_eq!(sent_to(&world.sign_in(&browser, "google", &Person::of("1", ADA)).await), "/account");
    let stranger = app.browser();
    let answer = world.sign_in(&stranger, "google", &Person::of("1", ADA)).await;
    assert!(sent_to(&answer).starts_with("/login/two_factor"), "{}", sent_to(&answer));
    app.drain().await;
}

/// M14: a domain that demands a provider is served by that one alone, whatever the identity is linked to.
#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_served_by_the_provider_that_it_demands() {
    let world = World::new().await;
    let person = Person::of("1", "ada@corp.example");
    world.signed_in("gitlab", &person).await;
    let config = (*world.app.kernel.config).clone();
    let gateway = world.app.gateway_with_config(Config { domains: enforcing("corp.example=google"), ..config });
    let try_with = async |name: &str, person: &Person| {
        let browser = world.app.browser().through(&gateway);
        let url = begin(&browser, name).await;
        let answer = browser.get(&world.approve(&url, person)).await.expect(303);
        world.app.drain().await;
        (error_code(&answer), answer.set_cookie(SESSION).is_some())
    };
    let refusal = ("google_sso_enforced".to_owned(), false);
    assert_eq!(try_with("gitlab", &person).await, refusal);
    assert_eq!(try_with("github", &Person::of("2", "new@corp.example")).await, refusal);
    assert_eq!(try_with("google", &person).await, (String::new(), true));
    assert_eq!(try_with("github", &Person::of("3", "ada@sub.corp.example")).await, (String::new(), true));
}

/// Q01: a sign-in with a provider from a new device is told by mail, with how it was done; the first of all and one from
/// a device that is known are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_device_is_told() {
    let world = World::new().await;
    let person = Person::of("1", ADA);
    let browser = world.signed_in("google", &person).await;
    world.sign_in(&browser, "google", &person).await;
    world.app.drain().await;
    let about = async || world.app.mails_about(ADA, "New sign-in to your account").await;
    assert!(about().await.is_empty(), "{:?}", about().await);
    world.signed_in("google", &person).await;
    let told = about().await;
    assert!(told.len() == 1 && told[0].text.contains("single sign-on"), "{told:?}");
}

/// W38: a start ends no session, and neither does a callback that is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_only_when_the_next_one_is_there() {
    let world = World::new().await;
    let browser = with_password(&world.app, ADA).await;
    world.provider.set(|behaviour| {
        behaviour.outages.insert("/token".to_owned(), Outage::Status(500));
    });
    let answer = world.sign_in(&browser, "google", &Person::of("1", ADA)).await;
    assert_eq!(error_code(&answer), "sso_unavailable");
    assert_eq!(me(&browser).await["email"], ADA);
    world.provider.set(|behaviour| behaviour.outages.clear());
    let old = browser.cookie(SESSION).expect("a session");
    assert_eq!(sent_to(&world.sign_in(&browser, "google", &Person::of("2", BOB)).await), "/account");
    world.app.drain().await;
    assert_eq!(me(&browser).await["email"], BOB);
    let thief = world.app.browser();
    thief.set_cookie(SESSION, &old);
    thief.get(ME).await.expect(401);
}

/// M05: a disabled user is refused, and an account whose address is not proven any more has to prove it first.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_sign_in_is_refused() {
    let world = World::new().await;
    let person = Person::of("1", ADA);
    world.signed_in("google", &person).await;
    let user = world.app.user(ADA).await;
    world.app.execute("UPDATE users SET email_verified_at = NULL").await;
    let browser = world.app.browser();
    let url = begin(&browser, "google").await;
    let page = browser.get(&world.approve(&url, &person)).await.expect(200);
    assert!(page.text.contains("not confirmed yet") && page.set_cookie(SESSION).is_none(), "{}", page.text);
    world.app.drain().await;
    assert_eq!(code_in(&world.app.mail_to(ADA).await.text).len(), 6);
    shared::users::disable(&world.app.kernel, user.id).await.expect("a change");
    world.refused("google", &person, "sso_account_disabled").await;
    world.refused("gitlab", &person, "sso_account_disabled").await;
}

/// M20: starts are counted by the client's network.
#[tokio::test(flavor = "multi_thread")]
async fn starts_are_limited_per_network() {
    let limit = Limit { count: 2, per_seconds: 60 };
    let world = World::with(move |config| config.social.starts_per_network = limit).await;
    let browser = world.app.browser();
    begin(&browser, "google").await;
    begin(&browser, "google").await;
    let answer = browser.get("/api/login/sso/google").await;
    assert_eq!(error_code(&answer), "throttled");
    begin(&world.app.browser(), "google").await;
}
