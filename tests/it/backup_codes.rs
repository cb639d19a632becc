//! Backup codes: how many, how long, and once each.

#![expect(clippy::indexing_slicing, reason = "test code")]

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use harness::{Answer, Caller, PASSWORD, TestApp, hexadecimal, totp::Authenticator};
use serde_json::json;
use shared::jobs::JobState;

const ADA: &str = "ada@lovelace.test";
const USED: &str = "A backup code was used";
const CODES: &str = "/api/users/@me/two_factor/backup_codes";

async fn enrolled(app: &TestApp) -> (Caller<'_>, Authenticator, Vec<String>) {
    let browser = app.browser();
    browser.sign_up_verified(ADA).await;
    browser.log_in(ADA, PASSWORD).await;
    let (authenticator, codes) = browser.enable_totp().await;
    (browser, authenticator, codes)
}

async fn log_in(browser: &Caller<'_>, code: &str) -> Answer {
    let pending = browser.begin_two_factor(ADA).await;
    browser.post("/api/login/two_factor", json!({ "login_id": pending["login_id"], "backup_code": code })).await
}

/// I01, T-BACK-02, W13: ten codes of fifty bits, of which the database has keyed digests only.
#[tokio::test(flavor = "multi_thread")]
async fn there_are_ten_codes_and_the_database_has_none() {
    let app = TestApp::new().await;
    let (browser, _, codes) = enrolled(&app).await;
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 10);
    let dump = app.dump().await.to_lowercase();
    for code in &codes {
        let bare = code.replace('-', "");
        assert_eq!((code.len(), bare.len()), (11, 10), "{code}");
        let digest = hexadecimal(&shared::secret::digest(&bare));
        for trace in [code, &bare, &digest] {
            assert!(!dump.contains(trace.as_str()), "{trace} is in the database");
        }
    }
    let status = browser.get("/api/users/@me/two_factor").await.expect(200);
    assert_eq!(status.json()["backup_codes_left"], 10);
    assert!(codes.iter().all(|code| !status.text.contains(code)));
}

/// I02, I03, Q06, T-BACK-01: of twenty logins with one code, one succeeds; one mail says when, where and how many are left.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_opens_one_login_and_its_owner_is_told() {
    let app = TestApp::with(harness::Settings::with(|config| config.two_factor.per_user = harness::UNLIMITED)).await;
    let (_, _, codes) = enrolled(&app).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let browser = app.browser();
        waiting.push((browser.begin_two_factor(ADA).await, browser));
    }
    let answers = join_all(waiting.iter().map(|(pending, browser)| {
        browser.post("/api/login/two_factor", json!({ "login_id": pending["login_id"], "backup_code": codes[0] }))
    }));
    let answers = answers.await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 19);
    assert_eq!(app.count_jobs("backup_codes.notify_used", JobState::Queued).await, 1);
    app.drain().await;
    let mails = app.mails_about(ADA, USED).await;
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    for part in ["Backup codes left: 9.", " UTC", "IP address: 2001:", "Device: "] {
        assert!(mail.text.contains(part), "{part}: {}", mail.text);
    }
    log_in(&app.browser(), &codes[0]).await.expect_problem(401, "invalid_code");
}

/// I03, I08: the mail asks for new codes when two are left, and not before.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_codes_come_with_a_warning() {
    let app = TestApp::new().await;
    let (_, _, codes) = enrolled(&app).await;
    for (used, code) in codes.iter().enumerate() {
        let login = log_in(&app.browser(), code).await.expect(200).json();
        assert_eq!(login["session"]["amr"], json!(["pwd", "otp", "mfa"]));
        app.drain().await;
        let (left, mail) = (9 - used, app.mails_about(ADA, USED).await.swap_remove(0));
        assert!(mail.text.contains(&format!("Backup codes left: {left}")), "{}", mail.text);
        assert_eq!(mail.text.contains("Create new ones soon"), left <= 2, "{}", mail.text);
        assert_eq!(mail.html.contains("Create new ones soon"), left <= 2, "{}", mail.html);
    }
    let pending = app.browser().begin_two_factor(ADA).await;
    assert_eq!(pending["methods"], json!(["totp"]));
}

/// I04, T-BACK-02: new codes need a fresh proof with the factor, and make the earlier ones void.
#[tokio::test(flavor = "multi_thread")]
async fn new_codes_need_a_fresh_proof_and_void_the_earlier_ones() {
    let app = TestApp::new().await;
    let (browser, authenticator, before) = enrolled(&app).await;
    browser.post(CODES, json!({})).await.expect_problem(403, "sensitive_action_required_reauth");
    let proof = json!({ "code": authenticator.code(app.now()) });
    browser.post("/api/users/@me/reauthenticate", proof).await.expect(200);
    app.advance(Duration::from_secs(301));
    browser.post(CODES, json!({})).await.expect_problem(403, "sensitive_action_required_reauth");
    let proof = json!({ "backup_code": before[0] });
    browser.post("/api/users/@me/reauthenticate", proof.clone()).await.expect(200);
    browser.post("/api/users/@me/reauthenticate", proof).await.expect_problem(422, "validation_failed");
    let answer = browser.post(CODES, json!({})).await.expect(200).json();
    let after: Vec<String> = serde_json::from_value(answer["backup_codes"].clone()).unwrap();
    assert_eq!(after.len(), 10);
    app.drain().await;
    log_in(&app.browser(), &before[1]).await.expect_problem(401, "invalid_code");
    log_in(&app.browser(), &after[1]).await.expect(200);
    app.drain().await;
}

/// I04: without a second factor there is nothing that codes could stand in for.
#[tokio::test(flavor = "multi_thread")]
async fn codes_need_a_factor() {
    let app = TestApp::new().await;
    let browser = app.browser();
    browser.sign_up_verified(ADA).await;
    browser.log_in(ADA, PASSWORD).await;
    browser.post(CODES, json!({})).await.expect_problem(409, "two_factor_not_enabled");
}

/// I06, I07: case, blanks and dashes do not matter; the app is usable right after.
#[tokio::test(flavor = "multi_thread")]
async fn typing_is_forgiven_and_the_app_goes_on() {
    let app = TestApp::new().await;
    let (_, authenticator, codes) = enrolled(&app).await;
    log_in(&app.browser(), &codes[0].to_uppercase()).await.expect(200);
    log_in(&app.browser(), &format!(" {} ", codes[1].replace('-', " "))).await.expect(200);
    let spread: String = codes[2].replace('-', "").chars().flat_map(|letter| [letter, '-']).collect();
    log_in(&app.browser(), &spread).await.expect(200);
    log_in(&app.browser(), &format!("{}0", codes[3])).await.expect_problem(401, "invalid_code");
    app.drain().await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let proof = json!({ "login_id": pending["login_id"], "code": authenticator.code(app.now()) });
    browser.post("/api/login/two_factor", proof).await.expect(200);
}

/// I07, K01, W14: a backup code is for once: it does not make a browser trusted.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_code_does_not_make_a_browser_trusted() {
    let app = TestApp::new().await;
    let (_, _, codes) = enrolled(&app).await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(ADA).await;
    let proof = json!({ "login_id": pending["login_id"], "backup_code": codes[0], "remember_device": true });
    let answer = browser.post("/api/login/two_factor", proof).await.expect(200);
    assert_eq!(answer.set_cookie("gatepost_device"), None);
    app.drain().await;
    browser.begin_two_factor(ADA).await;
}
