//! Whose account an identity signs in.

use std::time::Duration;

use harness::{OTHER_PASSWORD, code_in};
use shared::users::{self, Email};

use super::{
    ADA, BOB, ME, PASSWORD, Person, World, assert_refused, audited, begin, error_code, json, linked, me, sent_to,
    with_password,
};

fn unverified(subject: &str, email: &str) -> Person {
    Person { is_verified: Some(false), ..Person::of(subject, email) }
}

/// M05, M06: a verified address links to the proven account that has it, which keeps its password, and is told by mail.
#[tokio::test(flavor = "multi_thread")]
async fn a_verified_address_links_to_the_account_that_has_it() {
    let world = World::new().await;
    let id = me(&with_password(&world.app, ADA).await).await["id"].clone();
    let browser = world.signed_in("google", &Person::of("1", "Ada@LOVELACE.test")).await;
    assert_eq!(me(&browser).await["id"], id);
    let mail = world.app.mails_about(ADA, "Google was linked to your account").await.remove(0);
    assert!(mail.text.contains("Firefox on Linux") && mail.html.contains("Google"), "{}", mail.text);
    assert_eq!(audited(&world.app, "social.link").await.len(), 1);
    world.app.browser().log_in(ADA, PASSWORD).await;
}

/// M06, T-OIDC-06: an address that the provider has not verified, says nothing about, or is not trusted with, links to
/// nothing, signs nobody in and makes no account; the answer does not tell whether there is one.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_vouched_for_counts_for_nothing() {
    let world = World::new().await;
    with_password(&world.app, ADA).await;
    for email in [ADA, "nobody@lovelace.test"] {
        for name in ["google", "gitlab", "github", "corp"] {
            world.refused(name, &unverified("1", email), "sso_email_not_verified").await;
        }
        world.refused("corp", &Person { is_verified: None, ..Person::of("1", email) }, "sso_email_not_verified").await;
        for is_verified in [Some(true), Some(false), None] {
            let person = Person { is_verified, ..Person::of("1", email) };
            world.refused("other", &person, "sso_email_not_verified").await;
        }
    }
    assert_eq!((world.count("users").await, world.count("social_identities").await), (1, 0));
}

/// M06: of GitHub's addresses the primary one counts, and only when it is verified; a public one or another verified one
/// does not.
#[tokio::test(flavor = "multi_thread")]
async fn github_gives_the_primary_verified_address() {
    let world = World::new().await;
    let email = |email: &str, primary: bool, verified: bool| json!({ "email": email, "primary": primary, "verified": verified });
    let person = Person::of("7", "unused@lovelace.test");
    world.provider.set(|behaviour| {
        behaviour.github_emails = Some(json!([email(ADA, false, true), email(BOB, true, false)]));
    });
    world.refused("github", &person, "sso_email_not_verified").await;
    world.provider.set(|behaviour| behaviour.github_emails = Some(json!([email(ADA, false, true)])));
    world.refused("github", &person, "required").await;
    world.provider.set(|behaviour| {
        behaviour.github_emails = Some(json!([email(ADA, false, true), email(BOB, true, true)]));
    });
    assert_eq!(me(&world.signed_in("github", &person).await).await["email"], BOB);
}

/// M07, W19: an account that somebody made for an address before its owner came loses its password, sessions and factors to
/// the owner.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_made_by_somebody_else_loses_what_they_set_up() {
    let world = World::new().await;
    let app = &world.app;
    let squatter = app.browser();
    squatter.post("/api/signup", json!({ "email": ADA, "password": PASSWORD })).await.expect(202);
    let token = app.open_session(&app.user(ADA).await).await;
    let squatting = app.browser().bearer(&token);
    assert_eq!(me(&squatting).await["email_verified"], false);
    let (_, codes) = squatting.enable_totp().await;
    assert!(!codes.is_empty());
    // Enabling the app moved nothing that a further check would not see.
    squatting.get(ME).await.expect(200);
    let owner = world.signed_in("google", &Person::of("1", ADA)).await;
    let user = me(&owner).await;
    assert_eq!((&user["email"], &user["email_verified"]), (&json!(ADA), &json!(true)));
    squatting.get(ME).await.expect(401);
    for table in ["passwords", "totps", "backup_codes", "passkeys", "two_factor_passkeys"] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
    squatter.post("/api/login", json!({ "email": ADA, "password": PASSWORD })).await.expect(401);
    assert_eq!(audited(app, "social.take_over").await.len(), 1);
}

/// M07, W19: where no mail can be sent no account has proven its address, and each is in use: none is given away, and its user
/// links the provider from inside.
#[tokio::test(flavor = "multi_thread")]
async fn without_mail_no_account_is_given_away() {
    let world = World::with(|config| config.mail.url = harness_none()).await;
    let app = &world.app;
    app.browser().post("/api/signup", json!({ "email": ADA, "password": PASSWORD })).await.expect(202);
    let token = app.open_session(&app.user(ADA).await).await;
    world.refused("google", &Person::of("1", ADA), "sso_email_not_verified").await;
    let admin = me(&app.browser().bearer(&token)).await;
    assert_eq!((&admin["email"], &admin["is_instance_admin"]), (&json!(ADA), &json!(true)));
    assert_eq!((world.count("social_identities").await, world.count("passwords").await), (0, 1));
    let newcomer = world.signed_in("google", &Person::of("2", BOB)).await;
    assert_eq!(me(&newcomer).await["is_instance_admin"], false);
}

/// No mail can be sent.
fn harness_none() -> shared::secret::Redacted<String> {
    shared::secret::Redacted::new("none://".to_owned())
}

/// M07: a mail that proves the address for whoever signed up first is void once its owner came by a provider.
#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_proof_is_void() {
    let world = World::new().await;
    world.app.browser().sign_up(ADA).await;
    let code = code_in(&world.app.mail_to(ADA).await.text);
    let owner = world.signed_in("google", &Person::of("1", ADA)).await;
    let body = json!({ "email": ADA, "code": code });
    world.app.browser().post("/api/email_verification/confirm", body).await.expect(400);
    world.app.browser().post("/api/login", json!({ "email": ADA, "password": PASSWORD })).await.expect(401);
    me(&owner).await;
}

/// M08, T-OIDC-07: an identity is known by issuer and subject: another address at the provider signs in to the same account,
/// also when somebody else has that address here, and the same subject at another provider is somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_is_its_subject() {
    let world = World::new().await;
    let id = me(&world.signed_in("google", &Person::of("1", ADA)).await).await["id"].clone();
    with_password(&world.app, BOB).await;
    for person in
        [Person::of("1", BOB), unverified("1", BOB), Person { email: None, name: None, ..Person::of("1", BOB) }]
    {
        let user = me(&world.signed_in("google", &person).await).await;
        assert_eq!((&user["id"], user["email"].as_str()), (&id, Some(ADA)));
    }
    let other = me(&world.signed_in("corp", &Person::of("1", "eve@example.test")).await).await;
    assert_ne!(other["id"], id);
    assert_eq!(world.count("social_identities").await, 2);
}

/// M08: another issuer behind the name of a provider knows other people.
#[tokio::test(flavor = "multi_thread")]
async fn another_issuer_knows_other_people() {
    let world = World::new().await;
    world.signed_in("google", &Person::of("1", ADA)).await;
    let second = harness::Provider::start().await;
    let mut config = (*world.app.kernel.config).clone();
    config.social.google.issuer.clone_from(&second.issuer);
    let gateway = world.app.gateway_with_config(config);
    let browser = world.app.browser().through(&gateway);
    let url = begin(&browser, "google").await;
    let answer = browser.get(&second.approve(&url, &Person::of("1", BOB), world.app.now())).await;
    assert_eq!(sent_to(&answer), "/account");
    world.app.drain().await;
    assert_eq!(me(&browser).await["email"], BOB);
    // A sign-in that was begun at the first one does not end at the second one.
    let other = world.app.browser();
    let callback = world.approve(&begin(&other, "google").await, &Person::of("1", ADA));
    let moved = world.app.browser().through(&gateway);
    moved.set_cookie(super::BINDING, &other.cookie(super::BINDING).expect("a binding"));
    assert_eq!(error_code(&moved.get(&callback).await), "invalid_sso_state");
}

/// M15: without an address or without a name nothing is created, and the page says what is missing; a name is not needed
/// where there is an account.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_needs_an_address_and_a_name() {
    let world = World::new().await;
    let person = Person::of("1", ADA);
    for incomplete in [
        Person { email: None, ..person.clone() },
        Person { email: Some("no address".to_owned()), ..person.clone() },
        Person { name: None, ..person.clone() },
    ] {
        world.refused("google", &incomplete, "required").await;
    }
    assert_eq!((world.count("users").await, world.count("social_identities").await), (0, 0));
    with_password(&world.app, ADA).await;
    world.signed_in("google", &Person { name: None, ..person }).await;
}

/// M01: a provider whose ID tokens have no address is asked for it, and an answer about somebody else is refused.
#[tokio::test(flavor = "multi_thread")]
async fn userinfo_is_asked_where_the_token_has_no_address() {
    let world = World::new().await;
    world.provider.set(|behaviour| {
        behaviour.claims = json!({ "email": null, "email_verified": null, "name": null });
        behaviour.userinfo = json!({ "sub": "2" });
    });
    world.refused("corp", &Person::of("1", ADA), "sso_rejected").await;
    world.provider.set(|behaviour| behaviour.userinfo = json!({}));
    assert_eq!(me(&world.signed_in("corp", &Person::of("1", ADA)).await).await["email"], ADA);
    assert_eq!(world.provider.count("/userinfo"), 2);
}

/// M16, W21: nothing that the provider gave, and nothing that would prove something to it, is in the database, in an audit
/// row or in a payload.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_provider_are_not_kept() {
    let world = World::new().await;
    let browser = world.app.browser();
    let url = begin(&browser, "github").await;
    let waiting = world.app.dump().await;
    for (name, value) in
        url.query_pairs().filter(|(name, _)| ["state", "nonce", "code_challenge"].contains(&name.as_ref()))
    {
        assert!(!waiting.contains(value.as_ref()), "{name}");
    }
    assert!(
        waiting.contains("social_logins") && !waiting.contains(&browser.cookie(super::BINDING).expect("a binding"))
    );
    let callback = world.approve(&url, &Person::of("1", ADA));
    assert_eq!(sent_to(&browser.get(&callback).await), "/account");
    world.app.drain().await;
    world.signed_in("google", &Person::of("2", BOB)).await;
    let code = callback.split("code=").nth(1).expect("a code").split('&').next().expect("a code");
    let dump = world.app.dump().await;
    assert!(dump.contains("social_identities") && !dump.contains("provider-token-") && !dump.contains(code));
    assert_eq!(world.count("social_logins").await, 0);
}

/// M17: a name that the user changed stays, whatever the provider says later.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_edited_stays() {
    let world = World::new().await;
    let person = Person::of("1", ADA);
    let browser = world.signed_in("google", &person).await;
    browser.patch(ME, json!({ "first_name": "Augusta" })).await.expect(200);
    let renamed = Person { name: Some("Eve Evil".to_owned()), ..person };
    let user = me(&world.signed_in("google", &renamed).await).await;
    assert_eq!((user["first_name"].as_str(), user["last_name"].as_str()), (Some("Augusta"), Some("Lovelace")));
}

/// M19: when the address of an account changes, its links go and its sessions end; an installation may keep the links.
#[tokio::test(flavor = "multi_thread")]
async fn another_address_ends_links_and_sessions() {
    for keeps in [false, true] {
        let world = World::with(move |config| {
            if keeps {
                config.social.on_email_change = serde_json::from_value(json!("keep")).expect("a policy");
            }
        })
        .await;
        let person = Person::of("1", ADA);
        let browser = world.signed_in("google", &person).await;
        browser.patch(ME, json!({ "email": BOB })).await.expect(200);
        world.app.drain().await;
        assert_eq!(linked(&browser).await.len(), 1, "not before the new address is proven");
        let token = harness::token_in(&world.app.mail_to(BOB).await.text);
        world.app.browser().post("/api/email_verification/confirm", json!({ "token": token })).await.expect(200);
        world.app.drain().await;
        browser.get(ME).await.expect(401);
        assert_eq!(world.count("social_identities").await, i64::from(keeps));
        let user = me(&world.signed_in("google", &person).await).await;
        assert_eq!(user["email"], if keeps { BOB } else { ADA });
    }
}

/// M19: an address that changes while its owner signs in at a provider takes the link along: it is made to no account that has
/// another address by then.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_changes_meanwhile_is_linked_to_nothing() {
    let world = World::new().await;
    let app = &world.app;
    with_password(app, ADA).await;
    let browser = app.browser();
    let callback = world.approve(&begin(&browser, "google").await, &Person::of("1", ADA));
    let (id, tx) = (app.user(ADA).await.id, app.kernel.db.write_tx().await.expect("a transaction"));
    users::change_email(&*tx, id, &Email::parse(BOB).expect("an address"), app.now()).await.expect("a change");
    users::bump_epoch(&*tx, id, app.now()).await.expect("a change");
    shared::social::settle_email_change(&app.kernel, &tx, id).await.expect("a change");
    let change = async {
        // The callback waits for it by then.
        tokio::time::sleep(Duration::from_millis(300)).await;
        tx.commit().await.expect("a commit");
    };
    let (answer, ()) = tokio::join!(browser.get(&callback), change);
    assert_eq!(sent_to(&answer), "/account");
    app.drain().await;
    // Whoever has the former address is somebody new.
    assert_eq!((world.count("users").await, world.count("social_identities").await), (2, 1));
    let links = "SELECT COUNT(*) AS number FROM social_identities JOIN users ON users.id = user_id WHERE users.email = 'bob@byron.test'";
    assert_eq!(app.number(links).await, 0);
    assert_ne!(me(&browser).await["id"], json!(id.to_string()));
}

/// C19: a reset proves the address of an account that was not proven, and takes identities away that were linked before.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_of_an_unproven_account_takes_its_links_away() {
    let world = World::new().await;
    let app = &world.app;
    world.signed_in("google", &Person::of("1", ADA)).await;
    for (is_proven, left) in [(true, 1), (false, 0)] {
        if !is_proven {
            app.execute("UPDATE users SET email_verified_at = NULL").await;
        }
        app.browser().post("/api/reset", json!({ "email": ADA })).await.expect(204);
        app.drain().await;
        let token = harness::token_in(&app.mail_to(ADA).await.text);
        let body = json!({ "token": token, "password": OTHER_PASSWORD });
        app.browser().post("/api/reset/complete", body).await.expect(200);
        app.drain().await;
        assert_eq!(world.count("social_identities").await, left);
    }
}

/// M05: two first sign-ins of one person at once make one account.
#[tokio::test(flavor = "multi_thread")]
async fn two_first_sign_ins_make_one_account() {
    let world = World::new().await;
    let person = Person::of("1", ADA);
    let (one, other) = (world.app.browser(), world.app.browser());
    let first = world.approve(&begin(&one, "google").await, &person);
    let second = world.approve(&begin(&other, "google").await, &person);
    let (first, second) = tokio::join!(one.get(&first), other.get(&second));
    assert_eq!((sent_to(&first), sent_to(&second)), ("/account", "/account"));
    world.app.drain().await;
    assert_eq!((world.count("users").await, world.count("social_identities").await), (1, 1));
}

/// R08: an invite is not accepted by a sign-in with another address.
#[tokio::test(flavor = "multi_thread")]
async fn an_invite_is_for_its_address() {
    let world = World::new().await;
    let owner = world.signed_in("google", &Person::of("1", ADA)).await;
    let organizations = owner.get("/api/organizations").await.expect(200).json();
    let path = format!("/api/organizations/{}/invites", organizations["items"][0]["id"].as_str().expect("an id"));
    let invite = owner.post(&path, json!({ "email": BOB, "role": "member" })).await.expect(200).json();
    world.app.drain().await;
    let accept = format!("/api/invites/{}/accept", invite["id"].as_str().expect("an id"));
    let eve = world.signed_in("google", &Person::of("2", "eve@example.test")).await;
    let refused = eve.post(&accept, json!({})).await;
    assert!((400..500).contains(&refused.status), "{}", refused.text);
    let bob = world.signed_in("google", &Person::of("3", BOB)).await;
    bob.post(&accept, json!({})).await.expect(200);
    world.app.drain().await;
}

/// T-OIDC-06: a refusal is audited with its reason, and without the address.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_audited() {
    let world = World::new().await;
    let browser = world.app.browser();
    let answer = world.sign_in(&browser, "other", &Person::of("1", ADA)).await;
    assert_refused(&browser, &answer, "sso_email_not_verified").await;
    let expected = json!({ "provider": "other", "reason": "sso_email_not_verified" });
    assert_eq!(audited(&world.app, "social.complete").await, [expected]);
}

/// B08: a user who came by a provider sets a first password without a current one, with a fresh proof of identity; not where
/// the domain demands the provider.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_password_needs_a_fresh_proof() {
    let world = World::new().await;
    let app = &world.app;
    let person = Person::of("1", "ada@corp.example");
    let browser = world.signed_in("google", &person).await;
    let (path, body) = ("/api/users/@me/password", json!({ "new_password": PASSWORD }));
    let config =
        shared::config::Config { domains: super::enforcing("corp.example=google"), ..(*app.kernel.config).clone() };
    let gateway = app.gateway_with_config(config);
    let there = app.browser().through(&gateway);
    there.set_cookie(super::SESSION, &browser.cookie(super::SESSION).expect("a session"));
    there.post(path, body.clone()).await.expect_problem(403, "sso_enforced");
    app.advance(Duration::from_secs(301));
    browser.post(path, body.clone()).await.expect_problem(403, "sensitive_action_required_reauth");
    assert_eq!(world.count("passwords").await, 0);
    // Signing in once more is a proof.
    assert_eq!(sent_to(&world.sign_in(&browser, "google", &person).await), "/account");
    browser.post(path, json!({ "new_password": "password" })).await.expect(422);
    browser.post(path, body.clone()).await.expect(204);
    app.drain().await;
    // From now on there is a current one.
    browser.post(path, json!({ "new_password": OTHER_PASSWORD })).await.expect(422);
    app.browser().log_in("ada@corp.example", PASSWORD).await;
}

/// C21: who has no password is told by the mail of a reset what they sign in with; who has one is not.
#[tokio::test(flavor = "multi_thread")]
async fn the_mail_of_a_reset_names_the_providers() {
    let world = World::new().await;
    let app = &world.app;
    world.signed_in("google", &Person::of("1", ADA)).await;
    world.signed_in("corp", &Person::of("2", ADA)).await;
    let ask = async || {
        app.browser().post("/api/reset", json!({ "email": ADA })).await.expect(204);
        app.drain().await;
        app.mail_to(ADA).await
    };
    let mail = ask().await;
    let sentence = "You sign in with Google or The corp";
    assert!(mail.text.contains(sentence) && mail.html.contains(sentence), "{}", mail.text);
    let body = json!({ "token": harness::token_in(&mail.text), "password": PASSWORD });
    app.browser().post("/api/reset/complete", body).await.expect(200);
    app.drain().await;
    assert!(!ask().await.text.contains("You sign in with"));
}
