//! T-JOB-08: jobs that cannot be done, among jobs that can.

use harness::{
    Settings,
    works::{Wire, Works, enqueue_one, job, run_due, until},
};
use serde_json::json;
use shared::jobs::JobState;

use super::{Chore, Failing, Panicking, app, change, effects, signed_in};

/// T-JOB-08: undecodable is dead after one attempt, a panic and a failure after all of theirs, an unknown kind after its
/// patience; the others are done meanwhile, and the workers stay alive.
#[tokio::test(flavor = "multi_thread")]
async fn poison_ends_dead_and_harms_no_other_job() {
    let app = app(Settings::with(|config| {
        config.jobs.poll_milliseconds = 20;
        config.jobs.unknown_patience_seconds = 2;
        config.jobs.concurrency = 2;
    }))
    .await;
    let undecodable = enqueue_one(&app, &Chore { number: 1 }).await;
    change(&app, "UPDATE jobs SET payload = '{\"nummer\":1}' WHERE id = $1", undecodable).await;
    let unknown = enqueue_one(&app, &Chore { number: 2 }).await;
    change(&app, "UPDATE jobs SET name = 'testing.nobody_knows' WHERE id = $1", unknown).await;
    let newer = enqueue_one(&app, &Chore { number: 3 }).await;
    change(&app, "UPDATE jobs SET version = 2 WHERE id = $1", newer).await;
    let panicking = enqueue_one(&app, &Panicking { number: 4 }).await;
    let failing = enqueue_one(&app, &Failing { number: 5 }).await;
    for number in 0..20 {
        enqueue_one(&app, &Chore { number }).await;
    }
    let works = Works::start(&app, Wire::default()).await;
    until("the good jobs are done", async || app.count_jobs("testing.chore", JobState::Done).await == 20).await;
    assert_eq!(effects(&app).await, 20);
    for id in [undecodable, unknown, newer, panicking, failing] {
        until("poison is dead", async || job(&app, id).await.0 == JobState::Dead).await;
    }
    let (_, attempts, error) = job(&app, undecodable).await;
    assert!(attempts == 1 && error.unwrap().starts_with("the payload does not decode: missing field"));
    let (_, attempts, error) = job(&app, unknown).await;
    assert_eq!((attempts, error.as_deref()), (1, Some("no handler for testing.nobody_knows version 1")));
    let (_, attempts, error) = job(&app, newer).await;
    assert_eq!((attempts, error.as_deref()), (1, Some("no handler for testing.chore version 2")));
    assert_eq!(job(&app, panicking).await, (JobState::Dead, 3, Some("the handler panicked: poison".into())));
    assert_eq!(job(&app, failing).await, (JobState::Dead, 3, Some("it does not work".into())));
    let last = enqueue_one(&app, &Chore { number: 21 }).await;
    until("the workers are alive", async || job(&app, last).await.0 == JobState::Done).await;
    assert_eq!(effects(&app).await, 21, "poison left nothing");
    works.stop().await;
    run_due(&app).await;
}

/// T-JOB-08: once its cause is repaired, a dead job is done by the retry of an administrator, with a fresh count.
#[tokio::test(flavor = "multi_thread")]
async fn a_repaired_job_is_done_by_a_retry() {
    let app = app(Settings::default()).await;
    let admin = signed_in(&app, "admin@example.com").await;
    let id = enqueue_one(&app, &Chore { number: 1 }).await;
    change(&app, "UPDATE jobs SET payload = '[]' WHERE id = $1", id).await;
    run_due(&app).await;
    assert_eq!(job(&app, id).await.0, JobState::Dead);
    change(&app, "UPDATE jobs SET payload = '{\"number\":1}' WHERE id = $1", id).await;
    let retried = admin.post(&format!("/api/jobs/{id}/retry"), json!({})).await.expect(200).json();
    assert_eq!((retried["state"].as_str(), retried["attempt"].as_i64()), (Some("queued"), Some(0)));
    run_due(&app).await;
    assert_eq!(job(&app, id).await, (JobState::Done, 1, None));
    assert_eq!(effects(&app).await, 1);
}

/// T-JOB-14: a job of a newer version is left to a newer worker while a rolling upgrade may last, and counts no attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_job_waits_for_a_newer_worker() {
    let app = app(Settings::default()).await;
    let id = enqueue_one(&app, &Chore { number: 1 }).await;
    change(&app, "UPDATE jobs SET version = 2, expires_at = NULL WHERE id = $1", id).await;
    for _ in 0..5 {
        assert_eq!(run_due(&app).await, 1);
        assert_eq!(job(&app, id).await, (JobState::Queued, 0, Some("no handler for testing.chore version 2".into())));
        app.advance(std::time::Duration::from_secs(61));
    }
    change(&app, "UPDATE jobs SET version = 1 WHERE id = $1", id).await;
    run_due(&app).await;
    assert_eq!((job(&app, id).await.0, effects(&app).await), (JobState::Done, 1));
}
