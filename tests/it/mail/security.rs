//! Q07: mails that tell of a security-relevant change.

use harness::{OTHER_PASSWORD, PASSWORD, Settings, TestApp, token_in, works::run_due};
use serde_json::json;
use shared::{jobs::JobState, rate_limit::Limit};

use crate::jobs::signed_in;

async fn reset_password(app: &TestApp, email: &str) {
    let browser = app.browser();
    browser.post("/api/reset", json!({ "email": email })).await.expect(204);
    run_due(app).await;
    let token = token_in(&app.mail_to(email).await.text);
    let body = json!({ "token": token, "password": OTHER_PASSWORD });
    browser.post("/api/reset/complete", body).await.expect(200);
    run_due(app).await;
}

/// Q07: no key of the configuration switches a mail off; the only way to none is to have no mail at all, and then nobody
/// signs in with a password.
#[test]
fn no_setting_names_a_notification() {
    let defaults = include_str!("../../../shared/config.default.toml");
    let keys = defaults.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let suspicious: Vec<_> = keys
        .map(|(key, _)| key.trim())
        .filter(|key| {
            ["notif", "notice", "enable", "disable", "silent", "quiet", "optout", "opt_out"]
                .iter()
                .any(|word| key.contains(word))
        })
        .collect();
    assert!(suspicious.is_empty(), "{suspicious:?}");
}

/// Q07: a user cannot switch them off either: what looks like such a setting is refused or has no effect.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_cannot_switch_security_mails_off() {
    let app = TestApp::new().await;
    let user = signed_in(&app, "careless@example.com").await;
    for wish in [
        json!({ "notifications": false }),
        json!({ "notification_settings": { "password_changed": false } }),
        json!({ "unsubscribed": true }),
    ] {
        let answer = user.patch("/api/users/@me", wish).await;
        assert!(matches!(answer.status, 200 | 400 | 422), "{}", answer.text);
    }
    reset_password(&app, "careless@example.com").await;
    assert_eq!(app.mail_to("careless@example.com").await.subject, "Your password was changed");
}

/// Q07: nor does a flood of mails that anybody may ask for use up what keeps the notice of a change from its owner.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_mails_does_not_swallow_the_notice_of_a_change() {
    let app = TestApp::with(Settings::with(|config| {
        config.mail.per_recipient = Limit { count: 6, per_seconds: 600 };
        config.mail.per_recipient_long = Limit { count: 12, per_seconds: 86_400 };
    }))
    .await;
    let email = "flooded@example.com";
    let browser = signed_in(&app, email).await;
    for number in 0..20 {
        let stranger = app.browser_at(&format!("198.51.{number}.1"));
        stranger.post("/api/reset", json!({ "email": email })).await.expect(204);
        run_due(&app).await;
    }
    assert!(app.count_jobs("recovery.send_reset_link", JobState::Cancelled).await > 10, "the flood is bounded");
    let before = app.count_mails(email).await;
    let body = json!({ "current_password": PASSWORD, "new_password": OTHER_PASSWORD });
    let changed = browser.post("/api/users/@me/password", body).await;
    assert!(matches!(changed.status, 200 | 204), "{}", changed.text);
    run_due(&app).await;
    assert_eq!(app.count_mails(email).await, before + 1);
    assert_eq!(app.mail_to(email).await.subject, "Your password was changed");
}
