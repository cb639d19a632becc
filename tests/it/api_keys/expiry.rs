//! The end of keys that nobody uses.

use std::time::Duration;

use futures_util::future::join_all;
use harness::{
    Settings, TestApp,
    works::{enqueue_one, run_once},
};
use shared::api_keys::SweepKeyExpiry;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// Runs the sweep as the schedule does, with the mails that it causes.
async fn sweep(app: &TestApp) {
    let window = app.now().0 / 3_600_000_000;
    enqueue_one(app, &SweepKeyExpiry { window, step: 0 }).await;
    app.drain().await;
    // The next window is another one.
    app.advance(Duration::from_secs(3600));
}

async fn told(app: &TestApp) -> Vec<usize> {
    let mut counts = Vec::new();
    for subject in ["An API key expires in 30 days", "An API key expires in 7 days", "An API key has expired"] {
        counts.push(app.mails_about(ADA, subject).await.len());
    }
    counts
}

/// D22, T-KEY-03: a key that was not used for 365 days is refused, though no sweep ever ran; a second less is enough.
#[tokio::test(flavor = "multi_thread")]
async fn an_unused_key_expires_without_a_sweep() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (_, first) = key_of(&app, &browser).await;
    let (_, second) = key_of(&app, &browser).await;
    program(&app, &first).get(ME).await.expect(200);
    app.advance(Duration::from_secs(365 * 86_400 - 60));
    program(&app, &first).get(ME).await.expect(200);
    app.advance(Duration::from_secs(61));
    let other = app.another_gateway().await;
    for gateway in [app.endpoint(), &other] {
        program(&app, &second).through(gateway).get(ME).await.expect_problem(401, "api_key_expired");
        program(&app, &first).through(gateway).get(ME).await.expect(200);
    }
    program(&app, &second).get(CURRENT).await.expect_problem(401, "api_key_expired");
}

/// D23: warnings at 30 and 7 days and a notice at the end, each once, however often and by how many it is swept.
#[tokio::test(flavor = "multi_thread")]
async fn warnings_come_once_each() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (id, key) = key_of(&app, &browser).await;
    sweep(&app).await;
    assert_eq!(told(&app).await, [0, 0, 0]);
    app.advance(DAY * 335);
    let jobs = join_all((0..4).map(|step| enqueue_one_of(&app, step))).await;
    join_all(jobs.iter().map(|id| run_once(&app, *id))).await;
    app.drain().await;
    sweep(&app).await;
    assert_eq!(told(&app).await, [1, 0, 0]);
    app.advance(DAY * 23);
    sweep(&app).await;
    sweep(&app).await;
    assert_eq!(told(&app).await, [1, 1, 0]);
    app.advance(DAY * 7);
    sweep(&app).await;
    sweep(&app).await;
    assert_eq!(told(&app).await, [1, 1, 1]);
    program(&app, &key).get(ME).await.expect_problem(401, "api_key_expired");
    let rows = audited(&app, "api_keys.expire").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["api_key_id"], id.as_str());
}

async fn enqueue_one_of(app: &TestApp, step: u32) -> shared::jobs::JobId {
    enqueue_one(app, &SweepKeyExpiry { window: 1, step }).await
}

/// D24: a use after a warning starts the year anew, and the warnings with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_use_after_a_warning_starts_the_year_anew() {
    let app = TestApp::new().await;
    let (_, key) = key_of(&app, &signed_in(&app, ADA).await).await;
    app.advance(DAY * 336);
    sweep(&app).await;
    assert_eq!(told(&app).await, [1, 0, 0]);
    program(&app, &key).get(ME).await.expect(200);
    app.advance(DAY * 40);
    sweep(&app).await;
    assert_eq!(told(&app).await, [1, 0, 0]);
    program(&app, &key).get(ME).await.expect(200);
    app.advance(DAY * 336);
    sweep(&app).await;
    assert_eq!(told(&app).await, [2, 0, 0]);
}

/// D24: a key that is used between the warning's mark and its mail gets no mail that is wrong by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_warning_that_is_void_is_not_mailed() {
    let app = TestApp::new().await;
    let (_, key) = key_of(&app, &signed_in(&app, ADA).await).await;
    app.advance(DAY * 336);
    let job = enqueue_one_of(&app, 0).await;
    assert_eq!(run_once(&app, job).await, Some("done"));
    app.advance(Duration::from_secs(1));
    program(&app, &key).get(ME).await.expect(200);
    app.drain().await;
    assert_eq!(told(&app).await, [0, 0, 0]);
}

/// T-CLK-02, T-SWP-03: after a jump of the clock, or a long time without a sweep, each key gets the one mail of its present
/// age, in batches, and no more per window than are allowed.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_sweep_catches_up_in_batches_without_a_storm() {
    let settings = Settings::with(|config| {
        config.api_keys.max_per_user = 100;
        config.api_keys.sweep_batch = 4;
        config.api_keys.sweep_mails = 12;
    });
    let app = TestApp::with(settings).await;
    let browser = signed_in(&app, ADA).await;
    let mut keys = Vec::new();
    for _ in 0..30 {
        keys.push(text(&made(&browser, &["*"]).await, "value"));
    }
    app.drain().await;
    let before = app.mails().await.len();
    // Between the warnings and the end: all three kinds are due when the clock jumps by 90 days.
    let day = 86_400_000_000_i64;
    for (number, key) in keys.iter().enumerate() {
        let age = [250, 272, 280][number % 3] * day;
        let hash = shared::key_format::hash(key);
        app.execute(&format!("UPDATE api_keys SET active_at = active_at - {age} WHERE secret_hash = '{hash}'")).await;
    }
    app.advance(DAY * 90);
    for key in keys.iter().skip(2).step_by(3) {
        program(&app, key).get(ME).await.expect_problem(401, "api_key_expired");
    }
    let mut sent = before;
    for window in 0..6 {
        sweep(&app).await;
        let now = app.mails().await.len();
        assert!(now - sent <= 12, "window {window}: {} mails", now - sent);
        sent = now;
    }
    assert_eq!(told(&app).await, [10, 10, 10]);
    assert_eq!(sent - before, 30, "one mail for each key");
}
