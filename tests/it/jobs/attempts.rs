//! Claims, fences and leases: one worker at a time, and a late one changes nothing.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use harness::{
    Settings, TestApp,
    smtp::SmtpServer,
    works::{enqueue_one, job, run_due, until},
};
use sea_orm::ConnectionTrait;
use shared::{
    jobs::{
        Job, JobId, JobState,
        reaper::{self, Reaped},
        receipts::{self, Claim, Ending},
    },
    lifecycle::CancellationToken,
    secret::Redacted,
};
use tokio::task::JoinSet;

use super::{Chore, GO_ON, HANGING, Hanging, STALLED, Stalling, THRICE, app, change, effects};

async fn claim(app: &TestApp, id: JobId, owner: &str) -> Option<Claim> {
    let (kernel, tx) = (&app.kernel, app.kernel.db.write_tx().await.unwrap());
    let claim =
        receipts::claim(&*tx, &[id], owner, kernel.clock.now(), kernel.config.jobs.lease()).await.unwrap().pop();
    tx.commit().await.unwrap();
    claim
}

async fn reap(app: &TestApp) -> Reaped {
    reaper::pass(&app.kernel, |name| app.registry.retry_of(name)).await.unwrap()
}

fn beyond_lease(app: &TestApp) -> Duration {
    app.kernel.config.jobs.lease() + Duration::from_secs(1)
}

/// Jobs: eight workers that reach for the same jobs at once get each of them once.
#[tokio::test(flavor = "multi_thread")]
async fn eight_claimers_share_the_jobs_without_overlap() {
    let app = app(Settings::default()).await;
    let mut ids = Vec::new();
    for number in 0..40 {
        ids.push(enqueue_one(&app, &Chore { number }).await);
    }
    let mut claimers = JoinSet::new();
    for claimer in 0..8 {
        let (kernel, ids) = (Arc::clone(&app.kernel), ids.clone());
        claimers.spawn(async move {
            let mut mine = Vec::new();
            for offset in 0..ids.len() {
                let id = ids[(offset + claimer * 5) % ids.len()];
                let tx = kernel.db.write_tx().await.unwrap();
                let (now, lease) = (kernel.clock.now(), kernel.config.jobs.lease());
                let claimed =
                    receipts::claim(&*tx, &[id], &format!("worker-{claimer}"), now, lease).await.unwrap().pop();
                tx.commit().await.unwrap();
                mine.extend(claimed);
            }
            mine
        });
    }
    let claims = claimers.join_all().await.concat();
    assert!(claims.iter().all(|claim| claim.attempt == 1 && claim.fence == 1));
    let mut claimed: Vec<_> = claims.iter().map(|claim| claim.id).collect();
    claimed.sort_unstable();
    ids.sort_unstable();
    assert_eq!(claimed, ids);
    app.forget_jobs();
}

/// T-JOB-09: the commit of a worker that slept through its lease is refused, and its effect is undone with it.
#[tokio::test(flavor = "multi_thread")]
async fn the_effect_of_a_zombie_is_rolled_back() {
    let app = app(Settings::default()).await;
    let id = enqueue_one(&app, &Chore { number: 1 }).await;
    let zombie = claim(&app, id, "zombie").await.unwrap();
    assert!(claim(&app, id, "early").await.is_none(), "the lease lasts");
    app.advance(beyond_lease(&app));
    assert_eq!(reap(&app).await.abandoned, 1);
    app.advance(THRICE.cap);
    let heir = claim(&app, id, "heir").await.unwrap();
    assert_eq!((heir.attempt, heir.fence), (2, 2));
    for ending in [Ending::Done, Ending::Dead("x".into()), Ending::Retrying(Duration::ZERO, "x".into())] {
        let tx = app.kernel.db.write_tx().await.unwrap();
        tx.execute_unprepared("INSERT INTO effects (number) VALUES (666)").await.unwrap();
        assert!(!receipts::finish(&*tx, &zombie, app.kernel.clock.now(), &ending).await.unwrap());
        tx.rollback().await.unwrap();
    }
    let tx = app.kernel.db.write_tx().await.unwrap();
    tx.execute_unprepared("INSERT INTO effects (number) VALUES (1)").await.unwrap();
    assert!(receipts::finish(&*tx, &heir, app.kernel.clock.now(), &Ending::Done).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(app.number("SELECT CAST(SUM(number) AS BIGINT) AS number FROM effects").await, 1);
    assert!(!receipts::finish(app.kernel.db.writer(), &heir, app.kernel.clock.now(), &Ending::Done).await.unwrap());
}

/// T-JOB-09: a worker that stood still beyond its lease sends no mail any more once another one did.
#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_sends_no_second_mail() {
    let server = SmtpServer::start().await.unwrap();
    let url = Redacted::new(format!("smtp+insecure://{}", server.addr()));
    let app = app(Settings::with(move |config| config.mail.url = url)).await;
    let id = enqueue_one(&app, &Stalling { to: "waiting@example.com".into() }).await;
    let (context, registry) = (Arc::clone(&app.context), Arc::clone(&app.registry));
    let mut zombie = JoinSet::new();
    zombie.spawn(async move { workers::attempt::run(&context, &registry, id, &CancellationToken::new()).await });
    until("the first worker stands still", async || STALLED.load(Ordering::SeqCst) == 1).await;
    assert_eq!(run_due(&app).await, 0, "nobody else may take it");
    app.advance(beyond_lease(&app));
    assert_eq!(reap(&app).await.abandoned, 1);
    app.advance(THRICE.cap);
    assert_eq!(run_due(&app).await, 1);
    assert_eq!(job(&app, id).await, (JobState::Done, 2, None));
    GO_ON.add_permits(1);
    let ended = zombie.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(ended, Some("overtaken"));
    assert_eq!((server.messages().len(), server.transactions_seen()), (1, 1));
    assert_eq!(job(&app, id).await, (JobState::Done, 2, None));
}

/// T-JOB-08: a job that ends its process at every attempt ends dead after its attempts, not in a loop, and leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_worker_is_dead_in_the_end() {
    let app = app(Settings::default()).await;
    let id = enqueue_one(&app, &Hanging { number: 1 }).await;
    for attempt in 1..=THRICE.attempts {
        let (context, registry) = (Arc::clone(&app.context), Arc::clone(&app.registry));
        let mut worker = JoinSet::new();
        worker.spawn(async move { workers::attempt::run(&context, &registry, id, &CancellationToken::new()).await });
        let entered = usize::from(attempt);
        until("the handler runs", async || HANGING.load(Ordering::SeqCst) == entered).await;
        worker.shutdown().await;
        assert_eq!(job(&app, id).await.0, JobState::Running);
        assert_eq!(reap(&app).await.abandoned, 0, "the lease lasts");
        app.advance(beyond_lease(&app));
        assert_eq!(reap(&app).await.abandoned, 1);
        let (state, attempts, error) = job(&app, id).await;
        let is_last = attempt == THRICE.attempts;
        assert_eq!(state, if is_last { JobState::Dead } else { JobState::Retrying });
        assert_eq!(attempts, i32::from(attempt), "attempts are counted at the claim");
        assert_eq!(error.as_deref(), Some("the worker that held it vanished"));
        app.advance(THRICE.cap);
    }
    assert_eq!((run_due(&app).await, effects(&app).await), (0, 0));
}

/// T-JOB-09: a lease that is still good is left alone; one that ended is found by the reaper once.
#[tokio::test(flavor = "multi_thread")]
async fn the_reaper_takes_over_what_was_abandoned_and_nothing_else() {
    let app = app(Settings::default()).await;
    let (old, young) = (enqueue_one(&app, &Chore { number: 1 }).await, enqueue_one(&app, &Chore { number: 2 }).await);
    claim(&app, old, "gone").await.unwrap();
    app.advance(beyond_lease(&app));
    claim(&app, young, "alive").await.unwrap();
    assert_eq!(reap(&app).await, Reaped { abandoned: 1, undelivered: 0, expired: 0 });
    assert_eq!(reap(&app).await, Reaped::default());
    assert_eq!((job(&app, old).await.0, job(&app, young).await.0), (JobState::Retrying, JobState::Running));
    app.forget_jobs();
}

/// T-JOB-15: the one process of a small installation takes all of its jobs up again at its start, without waiting for leases.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_process_takes_its_jobs_up_at_once() {
    let app = app(Settings::default()).await;
    let (running, sent) =
        (enqueue_one(&app, &Chore { number: 1 }).await, enqueue_one(&app, &Chore { number: 2 }).await);
    claim(&app, running, "killed").await.unwrap();
    change(&app, "UPDATE jobs SET state = 'dispatched', dispatched_at = created_at WHERE id = $1", sent).await;
    reaper::after_restart(&app.kernel).await.unwrap();
    assert_eq!(reap(&app).await.abandoned, 1);
    assert_eq!((job(&app, running).await.0, job(&app, sent).await.0), (JobState::Retrying, JobState::Queued));
    app.advance(THRICE.cap);
    run_due(&app).await;
    assert_eq!(effects(&app).await, 2);
}

/// Jobs: what the wire name says is what the catalogue says.
#[tokio::test(flavor = "multi_thread")]
async fn the_retry_policy_of_a_reaped_job_is_that_of_its_handler() {
    let app = app(Settings::default()).await;
    assert_eq!(app.registry.retry_of(Chore::NAME), THRICE);
    assert_ne!(app.registry.retry_of("testing.nobody_knows"), THRICE);
}
