//! Q10: no secret rests in a payload or crosses the broker.

use std::collections::BTreeSet;

use harness::{
    Authenticator, OTHER_PASSWORD, PASSWORD, Settings, TestApp, code_in, token_in,
    works::{Wire, Works, until},
};
use serde_json::{Value, json};
use shared::{
    jobs::{Queue, operate},
    rate_limit::Limit,
};

use super::quick_app;

/// Waits for the mail with this subject and gives its text.
async fn text_of(app: &TestApp, subject: &str) -> String {
    let find = async || app.mails().await.into_iter().find(|mail| mail.subject.starts_with(subject));
    until(subject, async || find().await.is_some()).await;
    find().await.unwrap().text
}

/// All strings in a JSON document that could be secrets: tokens and codes, not ids.
fn secrets_in(document: &Value, found: &mut Vec<String>) {
    match document {
        Value::Object(members) => members.values().for_each(|member| secrets_in(member, found)),
        Value::Array(items) => items.iter().for_each(|item| secrets_in(item, found)),
        Value::String(text) if text.starts_with("gp") => found.push(text.clone()),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// Q10: password, codes, links, session and login tokens of the whole story are in no payload and in no message, nor is the
/// address; a message is the job's id and name, nothing of the payload.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_a_payload_or_crosses_the_broker() {
    let app = quick_app().await;
    let works = Works::start(&app, Wire::default()).await;
    let (email, program) = ("canary@example.com", app.browser().plain());
    let mut secrets = vec![PASSWORD.to_owned(), OTHER_PASSWORD.to_owned(), email.to_owned()];
    program.post("/api/signup", json!({ "email": email, "password": PASSWORD })).await.expect(202);
    let text = text_of(&app, "Confirm your e-mail address").await;
    secrets.extend([code_in(&text), token_in(&text)]);
    let body = json!({ "email": email, "code": code_in(&text) });
    program.post("/api/email_verification/confirm", body).await.expect(200);
    let body = json!({ "email": email, "password": PASSWORD, "session_transport": "token" });
    let login = program.post("/api/login", body).await.expect(200).json();
    let text = text_of(&app, "Your code to sign in").await;
    secrets.extend([code_in(&text), token_in(&text)]);
    let pending = &login["email_mfa"];
    let body =
        json!({ "login_id": pending["login_id"], "login_token": pending["login_token"], "code": code_in(&text) });
    let signed_in = program.post("/api/login/email_mfa", body).await.expect(200).json();
    secrets_in(&login, &mut secrets);
    secrets_in(&signed_in, &mut secrets);
    program.post("/api/reset", json!({ "email": email })).await.expect(204);
    let text = text_of(&app, "Reset your password").await;
    secrets.push(token_in(&text));
    let body = json!({ "token": token_in(&text), "password": OTHER_PASSWORD });
    program.post("/api/reset/complete", body).await.expect(200);
    text_of(&app, "Your password was changed").await;
    assert!(secrets.len() >= 10, "{secrets:?}");
    let wire = works.stop().await;
    let jobs = operate::list(app.kernel.db.reader(), &operate::Filter::default(), 1000).await.unwrap();
    let payloads: Vec<&str> = jobs.iter().map(|job| job.payload.as_str()).collect();
    let messages: Vec<String> = wire.seen().iter().map(|seen| serde_json::to_string(seen).unwrap()).collect();
    assert!(jobs.len() >= 4 && messages.len() >= 4);
    for secret in &secrets {
        assert!(!payloads.iter().any(|payload| payload.contains(secret.as_str())), "{secret} in {payloads:?}");
        assert!(!messages.iter().any(|message| message.contains(secret.as_str())), "{secret} in {messages:?}");
    }
    for message in &messages {
        let members: Value = serde_json::from_str(message).unwrap();
        let names: Vec<_> = members.as_object().unwrap().keys().map(String::as_str).collect();
        let known = ["attempt", "job_id", "name", "traceparent", "version"];
        assert!(names.iter().all(|name| known.contains(name)), "{message}");
    }
    harness::works::run_due(&app).await;
}

/// Causes every job that is about a factor.
async fn change_factors(app: &TestApp, email: &str) {
    let browser = crate::passkey::signed_in(app, email).await;
    let mut passkey = Authenticator::new(&app.origin());
    let added = crate::passkey::add(app, &browser, &mut passkey).await;
    let mut clone = passkey.clone();
    for _ in 0..2 {
        crate::passkey::try_passkey(&app.browser(), &mut passkey).await.expect(200);
    }
    crate::passkey::try_passkey(&app.browser(), &mut clone).await.expect(400);
    browser.delete(&format!("/api/users/@me/passkeys/{}", added["id"].as_str().unwrap())).await.expect(204);
    let (_, codes) = browser.enable_totp().await;
    browser.post("/api/users/@me/reauthenticate", json!({ "backup_code": codes[0] })).await.expect(200);
    browser.delete("/api/users/@me/two_factor/totp").await.expect(204);
}

/// Q10: payloads hold ids and numbers only, and small ones: what a job needs, its worker looks up or derives.
#[tokio::test(flavor = "multi_thread")]
async fn payloads_hold_ids_and_numbers_only() {
    let app = super::app(Settings::with(|config| {
        config.jobs.poll_milliseconds = 20;
        config.lockout.per_client = Limit { count: 1, per_seconds: 60 };
        config.lockout.in_a_row = 1;
    }))
    .await;
    let browser = super::signed_in(&app, "payload@example.com").await;
    // A second device, and a failure that locks and disables.
    let second = app.browser_at("203.0.113.2");
    let body = json!({ "email": "payload@example.com", "password": PASSWORD });
    let login = second.post("/api/login", body).await.expect(200).json();
    harness::works::run_due(&app).await;
    let code = code_in(&app.mail_to("payload@example.com").await.text);
    let body = json!({ "login_id": login["email_mfa"]["login_id"], "code": code });
    second.post("/api/login/email_mfa", body).await.expect(200);
    let body = json!({ "email": "payload@example.com", "password": OTHER_PASSWORD });
    app.browser_at("203.0.113.3").post("/api/login", body).await.expect(401);
    browser.post("/api/reset", json!({ "email": "payload@example.com" })).await.expect(204);
    browser.post("/api/signup", json!({ "email": "payload@example.com", "password": PASSWORD })).await.expect(202);
    let body = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
    browser.post("/api/users/@me/password", body).await.expect(204);
    browser.patch("/api/users/@me", json!({ "email": "elsewhere@example.com" })).await.expect(200);
    harness::works::run_due(&app).await;
    let code = code_in(&app.mail_to("elsewhere@example.com").await.text);
    let body = json!({ "email": "elsewhere@example.com", "code": code });
    browser.post("/api/email_verification/confirm", body).await.expect(200);
    harness::works::run_due(&app).await;
    change_factors(&app, "factors@example.com").await;
    harness::works::run_due(&app).await;
    let jobs = operate::list(app.kernel.db.reader(), &operate::Filter::default(), 1000).await.unwrap();
    for job in &jobs {
        let payload: Value = serde_json::from_str(&job.payload).unwrap();
        for (name, value) in payload.as_object().unwrap() {
            let is_id = value.as_str().is_some_and(|text| text.parse::<uuid::Uuid>().is_ok());
            let is_word = value.as_str().is_some_and(|text| matches!(text, "old" | "new"));
            assert!(is_id || is_word || value.is_number(), "{}: {name} is {value}", job.name);
        }
    }
    let seen: BTreeSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let catalog = app.registry.catalog();
    let mails =
        catalog.iter().filter(|entry| matches!(entry.queue, Queue::Mail | Queue::Notify)).map(|entry| entry.name);
    // The test mail of an operator is the one that names its recipient. The payloads of these features are looked at when
    // their own tests end: `TestApp` does it for every job.
    let elsewhere = [
        "testing.",
        "mail.send_test_mail",
        "api_keys.",
        "break_glass.",
        "domains.",
        "enforcement.",
        "invites.",
        "orgs.",
        "secret_keys.",
        "social.",
        "two_factor",
        "users.delete",
    ];
    let is_here = |name: &&str| !elsewhere.iter().any(|prefix| name.starts_with(prefix));
    let expected: BTreeSet<&str> = mails.filter(is_here).collect();
    assert_eq!(seen, expected, "every job that a user can cause");
}
