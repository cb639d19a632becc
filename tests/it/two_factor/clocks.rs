//! Gateways whose machines have a wrong clock, as processes under `libfaketime`, on PostgreSQL.
//!
//! Only with `GATEPOST_TEST_FULL=1` and `TEST_DATABASE_URL`.

use std::{fs, path::PathBuf, process::Stdio};

use harness::{Installation, code_in, free_port, http_client, totp};
use sea_orm::{ConnectionTrait, Database};
use shared::{
    clock::{Clock, SystemClock},
    ids,
};
use tokio::process::Child;

use super::{ADA, Duration, PASSWORD, STEP, Value, json};

/// Five minutes.
const SKEW: i64 = 300;

/// The library of the package `faketime`.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.is_file());
    found.expect("faketime is not installed; run scripts/setup.sh full")
}

/// Status, body, and the time of day by the server's own clock (RFC 9110, section 6.6.1), in seconds.
async fn post(base: &str, session: Option<&str>, path: &str, body: Value) -> (u16, Value, i64) {
    let mut request = http_client().post(format!("{base}{path}")).json(&body);
    if let Some(session) = session {
        request = request.bearer_auth(session);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let date = answer.headers()["date"].to_str().unwrap().to_owned();
    let clock = date.split(' ').nth(4).expect("a time").split(':').map(|part| part.parse::<i64>().expect("a number"));
    let seconds = clock.fold(0, |sum, part| sum * 60 + part);
    (status, answer.json().await.unwrap_or_default(), seconds)
}

/// The code in mail number `count`, once it is there.
async fn mailed(installation: &Installation, count: usize) -> String {
    for _ in 0..400 {
        let mails = workers::mail::list(&installation.folder.join("gatepost-mailbox"), 100).unwrap_or_default();
        if mails.len() >= count {
            return code_in(&mails[0].text);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("mail number {count} did not arrive\n{}", installation.logs())
}

/// A user with an app, whose clock is right.
async fn enrol(installation: &Installation, base: &str) -> totp::Authenticator {
    let credentials = json!({ "email": ADA, "password": PASSWORD, "session_transport": "token" });
    post(base, None, "/api/signup", json!({ "email": ADA, "password": PASSWORD })).await;
    let proof = json!({ "email": ADA, "code": mailed(installation, 1).await });
    post(base, None, "/api/email_verification/confirm", proof).await;
    let (_, login, _) = post(base, None, "/api/login", credentials).await;
    let mut proof = login["email_mfa"].clone();
    proof["code"] = json!(mailed(installation, 2).await);
    let (_, login, _) = post(base, None, "/api/login/email_mfa", proof).await;
    let session = login["session"]["token"].as_str().expect("a session");
    let (_, setup, _) = post(base, Some(session), "/api/users/@me/two_factor/totp/start", json!({})).await;
    let app = totp::Authenticator::of(setup["secret"].as_str().expect("a secret"));
    // The step before, so that the present one is still to be used.
    let code = json!({ "code": app.code(SystemClock.now() - Duration::from_secs(30)) });
    let (status, ..) = post(base, Some(session), "/api/users/@me/two_factor/totp/confirm", code).await;
    assert_eq!(status, 200);
    app
}

/// A gateway on a machine whose clock is this many seconds ahead.
async fn gateway(installation: &Installation, ahead: i64) -> (Child, String) {
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let child = installation
        .command(&["gateway"])
        .env("GATEPOST__HTTP__LISTEN", format!("127.0.0.1:{port}"))
        .env("GATEPOST__BROKER__URL", "amqp://gatepost:gatepost@127.0.0.1:1/gatepost")
        .env("LD_PRELOAD", library())
        .env("FAKETIME", format!("{ahead:+}s"))
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    installation.wait_for(&format!("{base}/health/ready"), Duration::from_secs(30)).await;
    (child, base)
}

/// T-TOTP-09: a gateway that is five minutes ahead or behind takes the code of the database's time, and not of its own.
#[tokio::test(flavor = "multi_thread")]
async fn full_codes_are_of_the_databases_time() {
    let Some(url) = std::env::var_os("TEST_DATABASE_URL").filter(|_| std::env::var_os("GATEPOST_TEST_FULL").is_some())
    else {
        return;
    };
    let url = url.to_string_lossy().into_owned();
    let schema = format!("t{}", ids::next().simple());
    let admin = Database::connect(&url).await.unwrap();
    admin.execute_unprepared(&format!("CREATE SCHEMA {schema}")).await.unwrap();
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let installation = Installation::new()
        .set("HTTP__LISTEN", &format!("127.0.0.1:{port}"))
        .set("HTTP__PUBLIC_URL", &base)
        .set("DATABASE__URL", &url)
        .set("DATABASE__SCHEMA", &schema)
        .set("DATABASE__MAX_CONNECTIONS", "4");
    let mut process = installation.start("serve", &["serve"]);
    installation.wait_for(&format!("{base}/health/ready"), Duration::from_secs(30)).await;
    let app = enrol(&installation, &base).await;
    for ahead in [SKEW, -SKEW] {
        let (mut child, skewed) = gateway(&installation, ahead).await;
        let credentials = json!({ "email": ADA, "password": PASSWORD, "session_transport": "token" });
        let (_, login, date) = post(&skewed, None, "/api/login", credentials).await;
        let off = (date - SystemClock.now().unix_seconds() - ahead).rem_euclid(86_400);
        assert!(!(30..86_370).contains(&off), "its clock is {off} s from where it should be");
        let offer = |code: String| {
            let mut proof = login["two_factor"].clone();
            proof["code"] = json!(code);
            proof
        };
        let its_own = SystemClock.now().0 + ahead * 1_000_000;
        let (status, refused, _) = post(&skewed, None, STEP, offer(app.code(shared::clock::Timestamp(its_own)))).await;
        assert_eq!((status, &refused["code"]), (401, &json!("invalid_code")), "{refused}");
        let (status, done, _) = post(&skewed, None, STEP, offer(app.code(SystemClock.now()))).await;
        assert_eq!((status, &done["status"]), (200, &json!("signed_in")), "{done}");
        child.kill().await.unwrap();
        // The next code of the app.
        tokio::time::sleep(Duration::from_secs(31)).await;
    }
    process.kill().await;
    admin.execute_unprepared(&format!("DROP SCHEMA {schema} CASCADE")).await.unwrap();
}
