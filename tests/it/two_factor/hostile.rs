//! A stranger who has the password guesses codes, from thousands of addresses, for days.

use std::collections::BTreeSet;

use harness::{Settings, totp};
use shared::{config::load_from, jobs::JobState};

use super::{ADA, Caller, Duration, STEP, TestApp, Value, count_failures, json};
use crate::passkey::{add, signed_in, try_passkey};

const GUESSES_PER_LOGIN: u32 = 8;

/// A code that no step of the next five days has.
fn never(app: &TestApp, authenticator: &totp::Authenticator) -> String {
    let begin = app.now() - Duration::from_secs(60);
    let steps = (0..5 * 24 * 120 + 10).map(|step| authenticator.code(begin + Duration::from_secs(30 * step)));
    let shown: BTreeSet<_> = steps.collect();
    (0..1_000_000).map(|number| format!("{number:06}")).find(|code| !shown.contains(code)).unwrap()
}

/// An address that nobody had before.
fn address(number: u32) -> String {
    format!("10.{}.{}.{}", number >> 16 & 0xff, number >> 8 & 0xff, number & 0xff)
}

/// Guesses this often, each from an address of its own, spread over this time. Returns how many were answered at all.
async fn guess(app: &TestApp, (from, count): (u32, u32), over: Duration, bad: &str) -> u32 {
    let mut answered = 0;
    let mut login: Option<(Value, String)> = None;
    for number in from..from + count {
        app.advance(over / count);
        let stranger = app.browser_at(&address(number));
        if number % GUESSES_PER_LOGIN == 0 || login.is_none() {
            let pending = stranger.post("/api/login", json!({ "email": ADA, "password": super::PASSWORD })).await;
            if let Some(line) = pending.set_cookie("gatepost_login") {
                let value = line.split(['=', ';']).nth(1).unwrap_or_default().to_owned();
                login = Some((pending.json()["two_factor"]["login_id"].clone(), value));
            }
        }
        let Some((login_id, cookie)) = &login else { continue };
        stranger.set_cookie("gatepost_login", cookie);
        let status = stranger.post(STEP, json!({ "login_id": login_id, "code": bad })).await.status;
        assert!([400, 401, 403, 429].contains(&status), "{status}");
        answered += 1;
    }
    answered
}

async fn pass(app: &TestApp, browser: &Caller<'_>, authenticator: &totp::Authenticator) -> Value {
    let pending = browser.begin_two_factor(ADA).await;
    let body = json!({ "login_id": pending["login_id"], "code": authenticator.code(app.now()) });
    browser.post(STEP, body).await.expect(200).json()
}

/// T-TOTP-04, P05, T-LOGIN-10: of ten thousand guesses no more are looked at than the documentation says: sixty and sixty
/// a day, and a hundred in a row at all. Meanwhile the owner signs in from a known device and with the passkey.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_guesses_are_hopeless_and_the_owner_gets_in() {
    let app = TestApp::with(Settings::with(|config| {
        let defaults = load_from(None, std::iter::empty()).expect("the defaults");
        (config.lockout, config.login) = (defaults.lockout, defaults.login);
    }))
    .await;
    let known = signed_in(&app, ADA).await;
    let mut passkey = harness::Authenticator::new(&app.origin());
    add(&app, &known, &mut passkey).await;
    let (authenticator, codes) = known.enable_totp().await;
    known.post("/api/logout", json!({})).await.expect(204);
    let bad = never(&app, &authenticator);

    let hour = Duration::from_secs(3600);
    let answered = guess(&app, (0, 5000), hour, &bad).await;
    assert!(answered > 4000, "{answered}");
    let evaluated = count_failures(&app).await;
    assert!((50..=63).contains(&evaluated), "{evaluated} were looked at in an hour");
    // What strangers use up is theirs: the known device has its code looked at, and needs no more than one.
    assert_eq!(pass(&app, &known, &authenticator).await["status"], "signed_in");
    known.post("/api/logout", json!({})).await.expect(204);
    try_passkey(&app.browser(), &mut passkey).await.expect(200);

    guess(&app, (5000, 5000), hour * 24 * 4, &bad).await;
    let later = count_failures(&app).await - evaluated;
    assert!(later <= 100, "{later} more were looked at in four days");
    app.drain().await;
    assert_eq!(app.count_jobs("lockout.notify_disabled", JobState::Done).await, 1);
    // The app is out until it is set anew; the account is not.
    try_passkey(&app.browser(), &mut passkey).await.expect(200);
    let pending = known.begin_two_factor(ADA).await;
    let right = json!({ "login_id": pending["login_id"], "code": authenticator.code(app.now()) });
    known.post(STEP, right).await.expect_problem(403, "authenticator_disabled");
    let body = json!({ "login_id": pending["login_id"], "backup_code": codes[0] });
    known.post(STEP, body).await.expect(200);
    app.drain().await;
}
