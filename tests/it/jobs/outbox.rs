//! A job and its cause commit together.

use harness::{
    PASSWORD, Settings,
    works::{enqueue_one, run_due},
};
use serde_json::json;
use shared::jobs::{JobState, enqueue};
use tokio::task::JoinSet;

use super::{Chore, Single, app, effects, unfinished};

/// Jobs: a job exists if and only if the transaction of its cause committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_exists_if_and_only_if_its_cause_committed() {
    let app = app(Settings::default()).await;
    let tx = app.kernel.db.write_tx().await.unwrap();
    enqueue(&tx, app.kernel.clock.as_ref(), &Chore { number: 1 }).await.unwrap();
    tx.rollback().await.unwrap();
    let tx = app.kernel.db.write_tx().await.unwrap();
    enqueue(&tx, app.kernel.clock.as_ref(), &Chore { number: 2 }).await.unwrap();
    drop(tx);
    assert!(unfinished(&app).await.is_empty());
    let id = enqueue_one(&app, &Chore { number: 3 }).await;
    assert_eq!(app.unfinished_jobs().await, [format!("testing.chore {id}")]);
    assert_eq!(run_due(&app).await, 1);
    assert_eq!(app.number("SELECT number FROM effects").await, 3);
}

/// Jobs: a sign-up whose last statement fails leaves no user and no job; the next one has both.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_late_leaves_neither_its_rows_nor_its_jobs() {
    let app = app(Settings::default()).await;
    let body = json!({ "email": "late@example.com", "password": PASSWORD });
    app.execute("ALTER TABLE audit_events RENAME TO audit_events_away").await;
    let refused = app.browser().post("/api/signup", body.clone()).await;
    assert!(refused.status >= 500, "{}", refused.text);
    let counts = app.row_counts().await;
    assert_eq!((counts["users"], counts["passwords"], counts["jobs"]), (0, 0, 0));
    app.execute("ALTER TABLE audit_events_away RENAME TO audit_events").await;
    app.browser().post("/api/signup", body).await.expect(202);
    let counts = app.row_counts().await;
    assert_eq!((counts["users"], counts["passwords"], counts["jobs"]), (1, 1, 1));
    run_due(&app).await;
    assert_eq!(app.count_mails("late@example.com").await, 1);
}

/// Jobs: one dedup key gives one job, whoever asks and however often, also after it is done.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_with_one_dedup_key_exist_once() {
    let app = app(Settings::default()).await;
    let mut asking = JoinSet::new();
    for _ in 0..8 {
        let kernel = std::sync::Arc::clone(&app.kernel);
        asking.spawn(async move {
            let tx = kernel.db.write_tx().await.unwrap();
            enqueue(&tx, kernel.clock.as_ref(), &Single { number: 7 }).await.unwrap();
            tx.commit().await.unwrap();
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    enqueue_one(&app, &Single { number: 8 }).await;
    assert_eq!(app.count_jobs("testing.single", JobState::Queued).await, 2);
    run_due(&app).await;
    let tx = app.kernel.db.write_tx().await.unwrap();
    assert_eq!(enqueue(&tx, app.kernel.clock.as_ref(), &Single { number: 7 }).await.unwrap(), None);
    tx.commit().await.unwrap();
    assert_eq!(app.count_jobs("testing.single", JobState::Done).await, 2);
    assert_eq!((run_due(&app).await, effects(&app).await), (0, 2));
}

/// Jobs: a dedup key belongs to its kind of job; another kind with the same text is another job.
#[tokio::test(flavor = "multi_thread")]
async fn dedup_keys_begin_with_the_name_of_their_job() {
    let app = app(Settings::default()).await;
    enqueue_one(&app, &Single { number: 5 }).await;
    enqueue_one(&app, &shared::jobs::sweep::SweepFinishedJobs { window: 5 }).await;
    let names = unfinished(&app).await;
    assert_eq!(names.len(), 2, "{names:?}");
    run_due(&app).await;
}
