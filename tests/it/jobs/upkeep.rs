//! What keeps the table in order: expiry, leadership, the schedule, retention.

use std::{sync::Arc, time::Duration};

use harness::{
    Settings, TestApp,
    works::{Wire, Works, enqueue_one, job, run_due, until},
};
use sea_orm::ConnectionTrait as _;
use shared::{
    jobs::{
        JobState, lease, operate,
        reaper::{self, Reaped},
        sweep::{self, SweepFinishedJobs},
    },
    rate_limit,
};
use workers::schedule::{self, SCHEDULE};

use super::{Chore, Failing, Letter, THRICE, app, effects, quick_app, unfinished};

async fn acquire(app: &TestApp, owner: &str, hold: Duration) -> Option<i64> {
    let (db, now) = (app.kernel.db.writer(), app.kernel.clock.now());
    lease::acquire(db, "testing", owner, now, hold).await.unwrap().map(|lease| lease.term)
}

/// One owner at a time; its term lasts while it renews, and grows with every change of owner.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_has_one_owner_and_a_term_that_grows() {
    let app = app(Settings::default()).await;
    let hold = Duration::from_secs(15);
    assert_eq!(acquire(&app, "a", hold).await, Some(1));
    assert_eq!((acquire(&app, "b", hold).await, acquire(&app, "a", hold).await), (None, Some(1)));
    app.advance(Duration::from_secs(10));
    assert_eq!(acquire(&app, "a", hold).await, Some(1), "renewed");
    app.advance(Duration::from_secs(10));
    assert_eq!(acquire(&app, "b", hold).await, None, "the renewal counts");
    app.advance(Duration::from_secs(6));
    assert_eq!(acquire(&app, "b", hold).await, Some(2), "its time is over");
    assert_eq!(acquire(&app, "a", hold).await, None);
    lease::release(app.kernel.db.writer(), "testing", "a").await.unwrap();
    assert_eq!(acquire(&app, "a", hold).await, None, "only the owner gives it up");
    lease::release(app.kernel.db.writer(), "testing", "b").await.unwrap();
    assert_eq!(acquire(&app, "a", hold).await, Some(3), "given up, taken at once");
    let other = lease::acquire(app.kernel.db.writer(), "another", "b", app.kernel.clock.now(), hold).await.unwrap();
    assert_eq!(other.unwrap().term, 1, "roles are apart");
}

/// Of many that reach for a free role at once, one gets it.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_eight_gets_a_free_lease() {
    let app = app(Settings::default()).await;
    let mut reaching = tokio::task::JoinSet::new();
    for owner in 0..8 {
        let kernel = Arc::clone(&app.kernel);
        reaching.spawn(async move {
            let (owner, hold) = (format!("owner-{owner}"), Duration::from_secs(15));
            lease::acquire(kernel.db.writer(), "testing", &owner, kernel.clock.now(), hold).await.unwrap()
        });
    }
    let terms: Vec<i64> = reaching.join_all().await.into_iter().flatten().map(|lease| lease.term).collect();
    assert_eq!(terms, [1]);
}

async fn scheduled(app: &TestApp) -> usize {
    let jobs = operate::list(app.kernel.db.reader(), &operate::Filter::default(), 1000).await.unwrap();
    jobs.len()
}

/// Jobs: each line of the schedule is enqueued once per window, whoever leads and however often it restarts; after missed
/// windows there is one more, not one for each.
#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_enqueues_once_per_window() {
    let app = app(Settings::default()).await;
    // To the middle of a window, so that none ends during the test.
    let hour = 3_600_000_000;
    let into = u64::try_from(app.kernel.clock.now().0 % hour).unwrap();
    app.advance(Duration::from_micros(u64::try_from(hour).unwrap() - into) + Duration::from_secs(60));
    let mut first = vec![None; SCHEDULE.len()];
    for _ in 0..3 {
        schedule::tick(&app.kernel, &mut first).await.unwrap();
        schedule::tick(&app.kernel, &mut vec![None; SCHEDULE.len()]).await.unwrap();
    }
    assert_eq!(scheduled(&app).await, SCHEDULE.len());
    app.advance(Duration::from_secs(5 * 3600));
    schedule::tick(&app.kernel, &mut first).await.unwrap();
    assert_eq!(scheduled(&app).await, 2 * SCHEDULE.len());
    assert_eq!(unfinished(&app).await, SCHEDULE.iter().map(|line| line.name.to_owned()).collect());
    run_due(&app).await;
    assert!(unfinished(&app).await.is_empty());
}

/// Jobs: finished rows go after their time, however many windows were missed; dead and unfinished ones stay.
#[tokio::test(flavor = "multi_thread")]
async fn finished_jobs_are_deleted_after_their_time() {
    let app = app(Settings::default()).await;
    for number in 0..30 {
        enqueue_one(&app, &Chore { number }).await;
    }
    let dead = enqueue_one(&app, &Failing { number: 1 }).await;
    for _ in 0..THRICE.attempts {
        run_due(&app).await;
        app.advance(THRICE.cap);
    }
    assert_eq!(job(&app, dead).await.0, JobState::Dead);
    let keep = Duration::from_secs(app.kernel.config.jobs.keep_finished_seconds);
    app.advance(keep.saturating_sub(Duration::from_secs(60)));
    let young = enqueue_one(&app, &Chore { number: 31 }).await;
    run_due(&app).await;
    enqueue_one(&app, &SweepFinishedJobs { window: 1 }).await;
    run_due(&app).await;
    assert_eq!(app.count_jobs("testing.chore", JobState::Done).await, 31, "not yet");
    app.advance(Duration::from_secs(120));
    let waiting = enqueue_one(&app, &Chore { number: 32 }).await;
    enqueue_one(&app, &SweepFinishedJobs { window: 9 }).await;
    run_due(&app).await;
    assert_eq!(app.count_jobs("testing.chore", JobState::Done).await, 2);
    assert_eq!((job(&app, dead).await.0, job(&app, young).await.0), (JobState::Dead, JobState::Done));
    assert_eq!(job(&app, waiting).await.0, JobState::Done);
}

/// Jobs: one sweep deletes a bounded number of rows, and the next one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_is_bounded_and_resumed() {
    let app = app(Settings::default()).await;
    for number in 0..25 {
        enqueue_one(&app, &Chore { number }).await;
    }
    run_due(&app).await;
    let later = app.kernel.clock.now() + Duration::from_secs(1);
    let mut deleted = Vec::new();
    while deleted.last() != Some(&0) {
        deleted.push(sweep::finished(app.kernel.db.writer(), later, 10).await.unwrap());
    }
    assert_eq!(deleted, [10, 10, 5, 0]);
}

/// Adds a limit that restricts until each of these times.
async fn limit_until(app: &TestApp, times: impl IntoIterator<Item = i64>) {
    for tat in times {
        app.execute(&format!("INSERT INTO rate_limits (key, tat, denied) VALUES ('{tat}', {tat}, 0)")).await;
    }
}

/// Sweeps: what is over the longest goes first, a batch at a time, and what is not over stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_the_longest_goes_first() {
    let app = app(Settings::default()).await;
    let now = app.kernel.clock.now();
    limit_until(&app, (0..25).map(|number| number * 7 % 25)).await;
    limit_until(&app, (0..3).map(|number| now.0 + number)).await;
    let (mut deleted, mut oldest) = (Vec::new(), Vec::new());
    while deleted.last() != Some(&0) {
        deleted.push(rate_limit::sweep(app.kernel.db.writer(), now, 10).await.unwrap());
        oldest.push(app.number("SELECT MIN(tat) AS number FROM rate_limits").await);
    }
    assert_eq!(deleted, [10, 10, 5, 0]);
    assert_eq!(oldest, [10, 20, now.0, now.0]);
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM rate_limits").await, 3);
}

/// Sweeps: a row that another transaction renews stays, and the sweep of the others does not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_renewed_meanwhile_stays() {
    let app = app(Settings::default()).await;
    let now = app.kernel.clock.now();
    limit_until(&app, 0..3).await;
    let renewal = app.kernel.db.write_tx().await.unwrap();
    renewal.execute_unprepared(&format!("UPDATE rate_limits SET tat = {} WHERE key = '1'", now.0)).await.unwrap();
    let sweep = async || rate_limit::sweep(app.kernel.db.writer(), now, 10).await.unwrap();
    // On SQLite there is one writer at a time.
    let meanwhile = if app.kernel.db.is_postgres() { Some(sweep().await) } else { None };
    renewal.commit().await.unwrap();
    let afterwards = sweep().await;
    assert_eq!((meanwhile.unwrap_or(2), meanwhile.unwrap_or(0) + afterwards), (2, 2));
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM rate_limits WHERE key = '1'").await, 1);
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM rate_limits").await, 1);
}

/// T-SMTP-05: a job whose purpose is over does not run late: the worker leaves it, and the reaper ends it when none works.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_purpose_is_over_expires() {
    let app = app(Settings::default()).await;
    let reaped = enqueue_one(&app, &Letter { to: "late@example.com".into() }).await;
    app.advance(Duration::from_secs(901));
    let pass = reaper::pass(&app.kernel, |name| app.registry.retry_of(name)).await.unwrap();
    assert_eq!(pass, Reaped { expired: 1, ..Reaped::default() });
    let met = enqueue_one(&app, &Letter { to: "late@example.com".into() }).await;
    app.advance(Duration::from_secs(901));
    assert_eq!(run_due(&app).await, 1);
    assert_eq!((job(&app, reaped).await.0, job(&app, met).await.0), (JobState::Expired, JobState::Expired));
    assert_eq!(app.count_mails("late@example.com").await, 0);
}

/// Jobs: the maintenance of a running process enqueues the schedule and takes over what others left behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_process_keeps_its_table_in_order() {
    let app = quick_app().await;
    let id = enqueue_one(&app, &Chore { number: 1 }).await;
    app.execute("UPDATE jobs SET state = 'running', attempt = 1, fence = 1, lease_owner = 'gone', lease_until = 0")
        .await;
    let works = Works::start(&app, Wire::default()).await;
    until("the abandoned job is done", async || job(&app, id).await.0 == JobState::Done).await;
    until("the schedule is done", async || scheduled(&app).await > SCHEDULE.len()).await;
    assert_eq!(effects(&app).await, 1);
    assert_eq!(
        app.number("SELECT COUNT(*) AS number FROM leases WHERE role = 'maintenance' AND held_until > 0").await,
        1
    );
    works.stop().await;
    assert_eq!(
        app.number("SELECT COUNT(*) AS number FROM leases WHERE role = 'maintenance' AND held_until > 0").await,
        0
    );
    run_due(&app).await;
}
