//! Machines whose clocks are an hour off in both directions: all that counts is the database's time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use harness::{PASSWORD, chaos::Rig, chaos::faked_clock, code_in, token_in, totp::Authenticator};
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock, Timestamp};

use super::fleet;

/// By how much what a process takes for the database's time may differ from it, in microseconds.
const SKEW: i64 = 2_000_000;
const HOUR: i64 = 3_600_000_000;
const EMAIL: &str = "clock@example.com";
const ME: &str = "/api/users/@me";
/// The database's time in microseconds.
const NOW: &str = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint";

/// How far the newest row's end is from the database's time.
async fn left(rig: &Rig, table: &str, column: &str) -> i64 {
    rig.number(&format!("{column} - {NOW}"), &format!("FROM {table} ORDER BY created_at DESC LIMIT 1")).await
}

/// Lets all rows of a table end at `micros` from now, by the database's time.
async fn let_end(rig: &Rig, table: &str, column: &str, micros: i64) {
    rig.execute(&format!("UPDATE {table} SET {column} = {NOW} + {micros}")).await;
}

async fn call(rig: &Rig, session: &str, path: &str, body: &Value) -> (u16, Value) {
    let reply = fleet::send(fleet::post(rig, path, body).bearer_auth(session)).await.expect("an answer");
    (reply.status, reply.body)
}

/// The latest time in a process's log, from its own clock; how far it is from this machine's, in hours.
fn hours_off(rig: &Rig, name: &str) -> i64 {
    let log = std::fs::read_to_string(rig.installation.folder.join(format!("{name}.log"))).unwrap();
    let line: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    let told: Timestamp = serde_json::from_value(line["timestamp"].clone()).unwrap();
    (told.0 - SystemClock.now().0 + HOUR / 2).div_euclid(HOUR)
}

/// A mailed link and a session are good until the database says that they are over.
async fn check_links_and_sessions(rig: &Rig, session: &str) {
    let validate =
        async |link: &str| fleet::send(fleet::post(rig, "/api/reset/validate", &json!({ "token": link }))).await;
    fleet::expect(rig, "/api/reset", json!({ "email": EMAIL }), 204).await;
    let link = token_in(&fleet::text_of(rig, EMAIL, fleet::RESET, 1).await);
    let day = 24 * HOUR;
    let found = left(rig, "password_resets", "expires_at").await;
    assert!((day - 30_000_000 - SKEW..=day + SKEW).contains(&found), "{found}");
    for (table, micros, status) in [("password_resets", 2 * SKEW, 200), ("password_resets", -SKEW, 400)] {
        let_end(rig, table, "expires_at", micros).await;
        assert_eq!(validate(&link).await.unwrap().status, status, "a link with {micros} µs left");
    }
    let age = left(rig, "sessions", "expires_at").await;
    let created = left(rig, "sessions", "created_at").await;
    assert!((-60_000_000 - SKEW..=SKEW).contains(&created), "{created}");
    assert!(age > 24 * HOUR, "{age}");
    for (micros, status) in [(2 * SKEW, 200), (-SKEW, 401)] {
        let_end(rig, "sessions", "expires_at", micros).await;
        let me = rig.client.get(format!("{}{ME}", rig.base)).bearer_auth(session);
        assert_eq!(fleet::send(me).await.unwrap().status, status, "a session with {micros} µs left");
    }
}

/// The app shows a code of the true time, which is good; the code of the gateway's own hour is not.
async fn check_app(rig: &Rig, session: &str) {
    let path = format!("{ME}/two_factor/totp");
    let (_, setup) = call(rig, session, &format!("{path}/start"), &json!({})).await;
    let app = Authenticator::of(setup["secret"].as_str().unwrap());
    let now = SystemClock.now();
    for (code, status) in [(app.code(Timestamp(now.0 + HOUR)), false), (app.code(now), true)] {
        let (found, body) = call(rig, session, &format!("{path}/confirm"), &json!({ "code": code })).await;
        assert_eq!(found == 200, status, "{found} {body}");
    }
}

/// A code to sign in: it comes at once and is good; one whose time was over before its worker came is not sent.
async fn check_codes(rig: &mut Rig) {
    let credentials = json!({ "email": EMAIL, "password": PASSWORD, "session_transport": "token" });
    let begin = Instant::now();
    let mut proof = fleet::expect(rig, "/api/login", credentials.clone(), 200).await["email_mfa"].clone();
    proof["code"] = json!(code_in(&fleet::text_of(rig, EMAIL, fleet::CODE, 2).await));
    assert!(begin.elapsed() < Duration::from_secs(5), "the worker waited for its own clock: {:?}", begin.elapsed());
    let found = left(rig, "logins", "expires_at").await;
    let quarter = HOUR / 4;
    assert!((quarter - 10_000_000 - SKEW..=quarter + SKEW).contains(&found), "{found}");
    let_end(rig, "logins", "expires_at", -SKEW).await;
    let (status, refused) = call(rig, "", "/api/login/email_mfa", &proof).await;
    assert_eq!((status, &refused["code"]), (400, &json!("login_expired")), "{refused}");

    rig.terminate("mail").await;
    fleet::expect(rig, "/api/login", credentials, 200).await;
    let late = "jobs WHERE name = 'email_mfa.send_login_code' AND state NOT IN ('done', 'cancelled')";
    rig.execute(&format!("UPDATE jobs SET expires_at = {NOW} - {SKEW} WHERE id IN (SELECT id FROM {late})")).await;
    let count = rig.smtp.messages_to(EMAIL).len();
    rig.launch("mail", &faked_clock("-1h").expect("faketime"));
    rig.ready().await;
    let expired = "FROM jobs WHERE name = 'email_mfa.send_login_code' AND state = 'expired'";
    let begin = Instant::now();
    while rig.number("COUNT(*)", expired).await == 0 {
        assert!(begin.elapsed() < Duration::from_secs(20), "the job does not expire\n{}", rig.installation.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(rig.smtp.messages_to(EMAIL).len(), count, "it was mailed late");
}

/// T-CLK-01: the gateway's clock is an hour fast and the worker's an hour slow: links, sessions, login codes and the jobs that
/// mail them begin and end by the database's time, within two seconds, and an app's code is that of the true time.
#[tokio::test(flavor = "multi_thread")]
async fn full_clocks_that_are_an_hour_off_change_no_validity() {
    let Some(mut run) = fleet::start().await else { return };
    for (name, offset) in [("gateway", "+1h"), ("mail", "-1h")] {
        run.rig.terminate(name).await;
        run.rig.launch(name, &faked_clock(offset).expect("faketime is not installed; run scripts/setup.sh full"));
    }
    run.rig.ready().await;
    let session = fleet::sign_in(&run.rig, EMAIL).await;
    let offsets: BTreeMap<_, _> = ["gateway", "mail", "notify"].map(|name| (name, hours_off(&run.rig, name))).into();
    assert_eq!(offsets, BTreeMap::from([("gateway", 1), ("mail", -1), ("notify", 0)]), "the clocks were not changed");
    check_codes(&mut run.rig).await;
    check_app(&run.rig, &session).await;
    check_links_and_sessions(&run.rig, &session).await;
    run.rig.stop().await;
}
