//! The signed-in user: names, and a change of address that only its reader can finish.

use std::time::Duration;

use harness::{Answer, Caller, PASSWORD, Settings, TestApp, code_in, token_in};
use serde_json::{Value, json};
use shared::{
    audit, email_mfa,
    secret::Redacted,
    users::{self, Email},
};

const EMAIL: &str = "ann@example.com";
const ME: &str = "/api/users/@me";

async fn signed_in<'a>(app: &'a TestApp, email: &str) -> Caller<'a> {
    let browser = app.browser();
    browser.sign_up_verified(email).await;
    browser.log_in(email, PASSWORD).await;
    browser
}

async fn confirm(browser: &Caller<'_>, proof: Value) -> Answer {
    browser.post("/api/email_verification/confirm", proof).await
}

async fn link_to(app: &TestApp, email: &str) -> String {
    token_in(&app.mail_to(email).await.text)
}

/// Asks for another address; processes the jobs.
async fn ask_for(app: &TestApp, browser: &Caller<'_>, email: &str) -> Answer {
    let answer = browser.patch(ME, json!({ "email": email })).await;
    app.drain().await;
    answer
}

/// R04: of two changes only the last one can be confirmed, and its link was mailed to that address only.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_last_address_asked_for_can_be_confirmed() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    let mails = app.count_mails(EMAIL).await;
    ask_for(&app, &browser, "first@example.com").await.expect(200);
    let first = app.mail_to("first@example.com").await.text;
    let asked = ask_for(&app, &browser, "Second@example.com").await.expect(200).json();
    assert_eq!((&asked["email"], &asked["pending_email"]), (&json!(EMAIL), &json!("Second@example.com")));
    let second = app.mail_to("Second@example.com").await.text;
    assert_eq!(app.count_mails(EMAIL).await, mails);
    for mail in app.mails().await.iter().filter(|mail| mail.to != "Second@example.com") {
        assert!(!mail.text.contains(&token_in(&second)) && !mail.html.contains(&token_in(&second)), "{}", mail.to);
    }

    confirm(&browser, json!({ "token": token_in(&first) })).await.expect_problem(400, "invalid_token");
    let code = json!({ "email": "first@example.com", "code": code_in(&first) });
    confirm(&browser, code).await.expect_problem(400, "invalid_token");
    confirm(&browser, json!({ "email": EMAIL, "code": code_in(&second) })).await.expect_problem(400, "invalid_token");
    assert_eq!(browser.get(ME).await.json()["email"], EMAIL);
    let answer = confirm(&app.browser(), json!({ "token": token_in(&second) })).await.expect(200);
    assert_eq!(answer.json(), json!({ "status": "login_required" }));
    assert!(answer.headers.get("set-cookie").is_none());
    app.drain().await;
    browser.log_in("Second@example.com", PASSWORD).await;
    let me = browser.get(ME).await.json();
    assert_eq!((&me["email"], me.get("pending_email")), (&json!("Second@example.com"), None));
}

/// R05: asking for the present address cancels the change that waits, its link and its code.
#[tokio::test(flavor = "multi_thread")]
async fn asking_for_the_present_address_cancels_a_change() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    ask_for(&app, &browser, "new@example.com").await.expect(200);
    let mail = app.mail_to("new@example.com").await.text;
    let mails = app.mails().await.len();
    let kept = ask_for(&app, &browser, " ANN@example.com").await.expect(200).json();
    assert_eq!((&kept["email"], kept.get("pending_email")), (&json!(EMAIL), None));
    assert_eq!(app.mails().await.len(), mails);
    confirm(&browser, json!({ "token": token_in(&mail) })).await.expect_problem(400, "invalid_token");
    let code = json!({ "email": "new@example.com", "code": code_in(&mail) });
    confirm(&browser, code).await.expect_problem(400, "invalid_token");
    assert_eq!(browser.get(ME).await.json(), kept);
}

/// Q11, O11, T-RST-03: a confirmed change tells both addresses, ends all sessions and mailed links, and the old address
/// signs nobody in.
#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_change_tells_both_addresses_and_ends_everything() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    browser.post("/api/reset", json!({ "email": EMAIL })).await.expect(204);
    app.drain().await;
    let reset_link = link_to(&app, EMAIL).await;
    ask_for(&app, &browser, "new@example.net").await.expect(200);
    let mail = app.mail_to("new@example.net").await.text;
    confirm(&app.browser(), json!({ "email": "new@example.net", "code": code_in(&mail) })).await.expect(200);
    app.drain().await;
    let (old, new) = (app.mail_to(EMAIL).await, app.mail_to("new@example.net").await);
    for notice in [&old, &new] {
        assert_eq!(notice.subject, "The e-mail address of your account was changed");
        assert!(notice.text.contains("n***@e***.net") && !notice.text.contains("new@example.net"), "{}", notice.text);
    }
    assert!(old.text.contains("no longer belongs") && new.text.contains("From now on"), "{}", old.text);

    browser.get(ME).await.expect_problem(401, "unauthenticated");
    let body = json!({ "token": reset_link, "password": harness::OTHER_PASSWORD });
    browser.post("/api/reset/complete", body).await.expect_problem(400, "invalid_token");
    let login = json!({ "email": EMAIL, "password": PASSWORD });
    browser.post("/api/login", login).await.expect_problem(401, "invalid_credentials");
    browser.log_in("new@example.net", PASSWORD).await;
    // The old address is free again.
    app.browser().sign_up_verified(EMAIL).await;
}

/// R04: a change to an address that somebody has looks like any other one, then and later, and mails nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_to_a_taken_address_looks_like_any_other() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    app.browser().sign_up_verified("bob@example.com").await;
    app.browser().sign_up("eve@example.com").await;
    let mut seen = Vec::new();
    for email in ["bob@example.com", "eve@example.com", "dan@example.com"] {
        let before = app.count_mails(email).await;
        let asked = browser.patch(ME, json!({ "email": email })).await.expect(200);
        let jobs = app.unfinished_jobs().await.len();
        app.drain().await;
        let later = browser.get(ME).await.expect(200);
        seen.push((asked.fingerprint().replace(email, "IT"), later.fingerprint().replace(email, "IT"), jobs));
        assert_eq!(app.count_mails(email).await - before, usize::from(email == "dan@example.com"), "{email}");
    }
    assert!(seen[0].1.contains("\"pending_email\":\"IT\""), "{}", seen[0].1);
    assert!(seen.iter().all(|answers| *answers == seen[2]), "{seen:#?}");
}

/// R04, T-MAIL-09: a stranger's wish for an unproven address does not stand in the way of its owner's code.
#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_wish_does_not_void_the_owners_code() {
    let app = TestApp::new().await;
    let stranger = signed_in(&app, EMAIL).await;
    let owner = app.browser();
    owner.sign_up("bob@example.com").await;
    let code = code_in(&app.mail_to("bob@example.com").await.text);
    ask_for(&app, &stranger, "bob@example.com").await.expect(200);
    confirm(&owner, json!({ "email": "bob@example.com", "code": code })).await.expect(200);
    owner.log_in("bob@example.com", PASSWORD).await;
    assert_eq!(stranger.get(ME).await.json()["email"], EMAIL);
}

/// R04: of two users who want one address the first to prove it gets it.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_goes_to_the_first_who_proves_it() {
    let app = TestApp::new().await;
    let (ann, bob) = (signed_in(&app, EMAIL).await, signed_in(&app, "bob@example.com").await);
    ask_for(&app, &ann, "new@example.com").await.expect(200);
    let anns = link_to(&app, "new@example.com").await;
    ask_for(&app, &bob, "new@example.com").await.expect(200);
    let bobs = link_to(&app, "new@example.com").await;
    assert_ne!(anns, bobs);
    confirm(&app.browser(), json!({ "token": bobs })).await.expect(200);
    confirm(&app.browser(), json!({ "token": anns })).await.expect_problem(400, "invalid_token");
    app.drain().await;
    let me = ann.get(ME).await.expect(200).json();
    assert_eq!(me["email"], EMAIL);
    let rows = audit::list(app.kernel.db.reader(), "email_verification.confirm", 10).await.unwrap();
    assert_eq!(rows[0].outcome, "failure");
}

/// R04, T-SESS-07: a change of address needs a recent proof of identity; what it is refused with changes nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_change_of_address_leaves_the_names_alone() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    browser.patch(ME, json!({ "first_name": "Ann" })).await.expect(200);
    for (email, pointer) in [("no address", "/email"), ("a\r\nb@example.com", "/email")] {
        let refused = browser.patch(ME, json!({ "first_name": "Eve", "email": email })).await;
        assert_eq!(refused.expect_problem(422, "validation_failed")["errors"][0]["pointer"], pointer);
    }
    let refused = browser.patch(ME, json!({ "first_name": "a\u{7}b", "email": "new@example.com" })).await;
    assert_eq!(refused.expect_problem(422, "validation_failed")["errors"][0]["pointer"], "/first_name");
    app.advance(Duration::from_secs(7201));
    let both = json!({ "first_name": "Eve", "email": "new@example.com" });
    browser.patch(ME, both).await.expect_problem(403, "sensitive_action_required_reauth");
    let me = browser.get(ME).await.json();
    assert_eq!((&me["first_name"], me.get("pending_email")), (&json!("Ann"), None));
    assert_eq!(app.unfinished_jobs().await, Vec::<String>::new());
    // Names are not sensitive.
    let renamed = browser.patch(ME, json!({ "first_name": "Anna" })).await.expect(200).json();
    assert_eq!(renamed["first_name"], "Anna");
}

/// T-MAIL-09: members that the server sets are not the client's to change.
#[tokio::test(flavor = "multi_thread")]
async fn members_that_the_server_sets_cannot_be_changed() {
    let app = TestApp::with(Settings::with(|config| config.mail.url = Redacted::new("none://".into()))).await;
    let (admin, browser) = (app.browser(), app.browser());
    for (caller, email) in [(&admin, "admin@example.com"), (&browser, EMAIL)] {
        caller.sign_up(email).await;
        let email = Email::parse(email).unwrap();
        let user = users::find_by_email(app.kernel.db.reader(), &email).await.unwrap().unwrap();
        email_mfa::grant_bypass(&app.kernel, user.id, Duration::from_secs(3600), "no mail here").await.unwrap();
        let login = json!({ "email": email.address(), "password": PASSWORD });
        assert_eq!(caller.post("/api/login", login).await.expect(200).json()["status"], "signed_in");
    }
    assert_eq!(admin.get(ME).await.json()["is_instance_admin"], true);
    let before = browser.get(ME).await.expect(200);
    assert_eq!((&before.json()["email_verified"], &before.json()["is_instance_admin"]), (&json!(false), &json!(false)));
    for (member, value) in [
        ("email_verified", json!(true)),
        ("email_verified_at", json!(1)),
        ("is_instance_admin", json!(true)),
        ("id", admin.get(ME).await.json()["id"].clone()),
        ("auth_epoch", json!(0)),
        ("disabled_at", json!(1)),
        ("pending_email", json!("eve@example.com")),
        ("created_at", json!("2020-01-01T00:00:00Z")),
    ] {
        let answer = browser.patch(ME, json!({ (member): value })).await;
        assert!(matches!(answer.status, 200 | 422), "{member}: {}", answer.text);
        assert_eq!(browser.get(ME).await.text, before.text, "{member}");
    }
    let sign_up =
        json!({ "email": "eve@example.com", "password": PASSWORD, "is_instance_admin": true, "email_verified": true });
    app.browser().post("/api/signup", sign_up).await;
    if let Some(eve) =
        users::find_by_email(app.kernel.db.reader(), &Email::parse("eve@example.com").unwrap()).await.unwrap()
    {
        assert!(!eve.is_verified() && !eve.is_instance_admin);
    }
}

/// Q12, T-MAIL-08: names are harmless in mails: no markup, no template, no link, no header.
#[tokio::test(flavor = "multi_thread")]
async fn names_are_harmless_in_mails() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    for hostile in [
        "<img src=x onerror=alert(1)>{{7*7}}",
        "{% raw %}{{ public_url }}</p><script>alert(1)</script>",
        "Win at https://evil.example/now?x=1",
        "www.evil.example eve@evil.example",
        "evil\u{3002}example \u{202e}moc.elgoog",
        "=?utf-8?B?RXZl?= Bcc: eve@evil.example",
    ] {
        browser.patch(ME, json!({ "first_name": hostile, "last_name": hostile })).await.expect(200);
        browser.post("/api/reset", json!({ "email": EMAIL })).await.expect(204);
        app.drain().await;
        app.advance(Duration::from_secs(3600));
        let mail = app.mail_to(EMAIL).await;
        assert_eq!(mail.subject, "Reset your password");
        let link = token_in(&mail.text);
        let (text, html) = (mail.text.replace(&link, "").to_lowercase(), mail.html.replace(&link, "").to_lowercase());
        for body in [&text, &html] {
            assert!(body.contains("hello "), "the name is in the mail: {body}");
            for banned in ["49", "evil.example", "evil\u{3002}example", "\u{202e}", "eve@", "https://evil"] {
                assert!(!body.contains(banned), "{hostile:?} leaves {banned:?} in {body}");
            }
        }
        for banned in ["<img", "<script", "onerror=alert(1)>"] {
            assert!(!html.contains(banned), "{hostile:?} leaves {banned:?} in {html}");
        }
        let names: Vec<_> = mail.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        assert!(!names.iter().any(|name| name == "bcc") && names.iter().filter(|name| *name == "to").count() == 1);
    }
}

/// Q12: control characters in a name are refused, so no name can begin a header line.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_a_line_break_is_refused() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    for name in ["Ann\r\nBcc: eve@example.com", "Ann\nEve", "Ann\u{85}Eve", "Ann\u{1b}[31m", "Ann\u{7f}"] {
        for member in ["first_name", "last_name"] {
            let refused = browser.patch(ME, json!({ (member): name })).await;
            let problem = refused.expect_problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], format!("/{member}"), "{name:?}");
            let wish = json!({ "email": "eve@example.com", "password": PASSWORD, (member): name });
            app.browser().post("/api/signup", wish).await.expect_problem(422, "validation_failed");
        }
    }
    let me = browser.get(ME).await.json();
    assert_eq!((me.get("first_name"), me.get("last_name")), (None, None));
}

/// Absent members stay, null removes, blanks around a name and empty names do not count.
#[tokio::test(flavor = "multi_thread")]
async fn absent_members_stay_and_null_removes() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    let longest = "\u{e9}".repeat(128);
    let me = browser.patch(ME, json!({ "first_name": "  Ann ", "last_name": longest })).await.expect(200).json();
    assert_eq!((&me["first_name"], &me["last_name"]), (&json!("Ann"), &json!(longest)));
    let me = browser.patch(ME, json!({ "last_name": null })).await.expect(200).json();
    assert_eq!((&me["first_name"], me.get("last_name")), (&json!("Ann"), None));
    let me = browser.patch(ME, json!({ "first_name": " " })).await.expect(200).json();
    assert_eq!(me.get("first_name"), None);
    let before = audit::list(app.kernel.db.reader(), "users.update", 10).await.unwrap().len();
    browser.patch(ME, json!({})).await.expect(200);
    assert_eq!(audit::list(app.kernel.db.reader(), "users.update", 10).await.unwrap().len(), before);
    app.browser().patch(ME, json!({ "first_name": "Eve" })).await.expect_problem(401, "unauthenticated");
}
