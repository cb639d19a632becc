//! A change of keys while people sign in: what was made with the old key goes on, until nothing needs it any more.

use futures_util::future::join_all;
use harness::{OTHER_PASSWORD, Settings, token_in, totp, works};
use shared::{backup_codes, jobs::JobState, secret::Redacted, totp as apps, totp::ResealSecrets};

use super::{Caller, Duration, PASSWORD, STEP, TestApp, json};

const OLD: &str = "a:0123456789abcdef0123456789abcdef";
const NEW: &str = "b:fedcba9876543210fedcba9876543210";
const USERS: usize = 5;

fn email(number: usize) -> String {
    format!("user{number}@rotation.test")
}

/// Signs in with password and code; the clock moves on, so that the app shows another code.
async fn sign_in(browser: &Caller<'_>, app: &TestApp, number: usize, apps: &[totp::Authenticator]) -> u16 {
    let pending = browser.begin_two_factor(&email(number)).await;
    let code = apps[number].code(app.now());
    browser.post(STEP, json!({ "login_id": pending["login_id"], "code": code })).await.status
}

/// How many secrets each key sealed.
async fn seals(app: &TestApp) -> Vec<(String, i64)> {
    let mut counts = apps::count_by_key(app.kernel.db.reader()).await.unwrap();
    counts.sort();
    counts
}

/// The application with the new key in front, and users of the time when the old one was alone.
async fn rotated() -> (TestApp, Vec<totp::Authenticator>) {
    let app = TestApp::with(Settings::with(|config| {
        config.secrets.keys = Redacted::new(vec![NEW.to_owned(), OLD.to_owned()]);
        config.totp.reseal_batch = 2;
    }))
    .await;
    let before = app.gateway_with_keys(&[OLD.to_owned()]);
    let mut apps = Vec::new();
    for number in 0..USERS {
        let browser = app.browser().through(&before);
        browser.sign_up_verified(&email(number)).await;
        browser.log_in(&email(number), PASSWORD).await;
        apps.push(browser.enable_totp().await.0);
    }
    // A setup that waits for its first code is sealed too.
    let browser = app.browser().through(&before);
    browser.sign_up_verified("waiting@rotation.test").await;
    browser.log_in("waiting@rotation.test", PASSWORD).await;
    browser.post("/api/users/@me/two_factor/totp/start", json!({})).await.expect(200);
    assert_eq!(seals(&app).await.iter().map(|(_, count)| count).sum::<i64>(), 6);
    (app, apps)
}

/// T-SUP-01: the job is interrupted after its first batch and goes on from there, while everybody signs in; links that
/// were mailed before work until they expire; then nothing needs the old key.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_replaced_while_people_sign_in() {
    let (app, apps) = rotated().await;
    let before = app.gateway_with_keys(&[OLD.to_owned()]);
    let old = |number: usize| (email(number), app.browser().through(&before));
    for number in [0, 1] {
        let (address, browser) = old(number);
        browser.post("/api/reset", json!({ "email": address })).await.expect(204);
    }
    app.drain().await;
    let links = [token_in(&app.mail_to(&email(0)).await.text), token_in(&app.mail_to(&email(1)).await.text)];

    // A first batch; a second run of it finds nothing to do twice.
    let id = works::enqueue_one(&app, &ResealSecrets::begin(1)).await;
    assert_eq!(works::run_once(&app, id).await, Some("done"));
    assert_eq!(seals(&app).await, [("a".to_owned(), 1), ("a".to_owned(), 3), ("b".to_owned(), 2)]);
    assert_eq!(works::run_once(&app, id).await, None);
    // The rest, under load.
    let load = join_all((0..USERS).map(|number| {
        let app = &app;
        let apps = &apps;
        async move { sign_in(&app.browser(), app, number, apps).await }
    }));
    let (statuses, ()) = tokio::join!(load, app.drain());
    assert_eq!(statuses, vec![200; USERS]);
    app.drain().await;
    assert!(seals(&app).await.iter().all(|(key_id, _)| key_id == "b"), "{:?}", seals(&app).await);
    assert!(app.count_jobs("totp.reseal_secrets", JobState::Done).await >= 2);

    // A link of the old key works, as long as it is good and the key is there.
    let wish = |token: &str| json!({ "token": token, "password": OTHER_PASSWORD });
    app.browser().post("/api/reset/complete", wish(&links[0])).await.expect(200);
    let after = app.gateway_with_keys(&[NEW.to_owned()]);
    let browser = app.browser().through(&after);
    browser.post("/api/reset/complete", wish(&links[1])).await.expect_problem(400, "invalid_token");
    app.advance(Duration::from_secs(24 * 3600));
    app.browser().post("/api/reset/complete", wish(&links[1])).await.expect_problem(400, "invalid_token");
    app.drain().await;

    // Without the old key: passwords were hashed anew by the logins, secrets by the job.
    for number in 1..USERS {
        assert_eq!(sign_in(&app.browser().through(&after), &app, number, &apps).await, 200, "user {number}");
    }
    // Backup codes are digests: they are counted, and end with the old key or are made anew.
    let codes = backup_codes::count_by_key(app.kernel.db.reader()).await.unwrap();
    assert_eq!(codes, [("a".to_owned(), 50)]);
    app.drain().await;
}

/// T-SUP-01: the secret of somebody who signs in is sealed anew between their code and its check: the code is right, and is
/// used up by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_code_is_right_while_its_secret_is_sealed_anew() {
    let (app, keys) = rotated().await;
    let browser = app.browser();
    let pending = browser.begin_two_factor(&email(0)).await;
    let proof = json!({ "login_id": pending["login_id"], "code": keys[0].code(app.now()) });
    let tx = app.kernel.db.write_tx().await.unwrap();
    assert_eq!(apps::reseal(&app.kernel, &tx, &ResealSecrets::begin(1)).await.unwrap(), 2);
    let job = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tx.commit().await.unwrap();
    };
    let (answer, ()) = tokio::join!(browser.post(STEP, proof.clone()), job);
    answer.expect(200);
    let browser = app.browser();
    let pending = browser.begin_two_factor(&email(0)).await;
    let again = json!({ "login_id": pending["login_id"], "code": proof["code"] });
    browser.post(STEP, again).await.expect_problem(401, "invalid_code");
    app.drain().await;
}
