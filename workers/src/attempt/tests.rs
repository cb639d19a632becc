//! How attempts end, on a real database.

use shared::{db::Tx, jobs::enqueue};

use super::*;
use crate::{
    drain,
    testing::{Bench, Chore, Letter, Poison},
};

/// Causes a letter; an odd number then fails, so the letter must not exist.
async fn chore(context: &Context, tx: &Tx, job: Chore) -> Result<(), JobError> {
    enqueue(tx, context.kernel.clock.as_ref(), &Letter { number: job.number }).await?;
    if job.number % 2 == 1 { Err(JobError::retry("odd")) } else { Ok(()) }
}

async fn panicking(_: &Context, _: &Tx, _: Poison) -> Result<(), JobError> {
    panic!("poison")
}

async fn hanging(_: &Context, _: &Tx, _: Poison) -> Result<(), JobError> {
    std::future::pending().await
}

/// Does what another worker does that took the job over meanwhile.
async fn overtaken(context: &Context, tx: &Tx, job: Poison) -> Result<(), JobError> {
    use sea_orm::ConnectionTrait as _;
    enqueue(tx, context.kernel.clock.as_ref(), &Letter { number: job.number }).await?;
    tx.execute_unprepared("UPDATE jobs SET fence = fence + 1").await?;
    Ok(())
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.on(chore).unwrap();
    registry
}

async fn once(bench: &Bench, registry: &Registry, id: JobId) -> Option<&'static str> {
    run(&bench.context, registry, id, &CancellationToken::new()).await.unwrap()
}

async fn letters(bench: &Bench) -> Option<String> {
    bench.text("SELECT CAST(COUNT(*) AS TEXT) FROM jobs WHERE name = 'testing.letter'").await
}

#[tokio::test]
async fn an_effect_commits_with_its_job() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Chore { number: 2 }).await;
    assert_eq!(once(&bench, &registry(), id).await, Some("done"));
    assert_eq!(bench.job(id).await, ("done", 1, None));
    assert_eq!(letters(&bench).await.as_deref(), Some("1"));
    assert_eq!(once(&bench, &registry(), id).await, None, "a second message has no effect");
}

#[tokio::test]
async fn a_failure_undoes_the_effect_and_the_last_one_is_dead() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Chore { number: 1 }).await;
    assert_eq!(once(&bench, &registry(), id).await, Some("retrying"));
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(once(&bench, &registry(), id).await, Some("dead"));
    assert_eq!(bench.job(id).await, ("dead", 2, Some("odd".into())));
    assert_eq!(letters(&bench).await.as_deref(), Some("0"));
}

#[tokio::test]
async fn a_panic_is_a_failure_of_that_job_only() {
    let bench = Bench::new().await;
    let mut registry = registry();
    registry.on(panicking).unwrap();
    let (poison, chore) = (bench.enqueue(&Poison { number: 0 }).await, bench.enqueue(&Chore { number: 2 }).await);
    assert_eq!(once(&bench, &registry, poison).await, Some("retrying"));
    assert_eq!(bench.job(poison).await.2.as_deref(), Some("the handler panicked: poison"));
    assert_eq!(once(&bench, &registry, chore).await, Some("done"));
}

#[tokio::test]
async fn a_handler_ends_before_its_lease() {
    let bench = Bench::with(|config| config.jobs.lease_seconds = 1).await;
    let mut registry = registry();
    registry.on(hanging).unwrap();
    let id = bench.enqueue(&Poison { number: 0 }).await;
    assert_eq!(once(&bench, &registry, id).await, Some("retrying"));
    assert_eq!(bench.job(id).await.2.as_deref(), Some("the handler took too long"));
}

#[tokio::test]
async fn a_job_that_is_called_off_goes_back_uncounted() {
    let bench = Bench::new().await;
    let mut registry = registry();
    registry.on(hanging).unwrap();
    let id = bench.enqueue(&Poison { number: 0 }).await;
    let hurry = CancellationToken::new();
    hurry.cancel();
    assert_eq!(run(&bench.context, &registry, id, &hurry).await.unwrap(), Some("released"));
    assert_eq!(bench.job(id).await, ("queued", 0, Some("the worker stopped".into())));
}

#[tokio::test]
async fn a_worker_that_was_overtaken_commits_nothing() {
    let bench = Bench::new().await;
    let mut registry = registry();
    registry.on(overtaken).unwrap();
    let id = bench.enqueue(&Poison { number: 0 }).await;
    assert_eq!(once(&bench, &registry, id).await, Some("overtaken"));
    assert_eq!(letters(&bench).await.as_deref(), Some("0"));
    assert_eq!(bench.job(id).await.0, "running", "it is its successor's");
}

#[tokio::test]
async fn a_payload_that_does_not_decode_is_dead_at_once() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Chore { number: 2 }).await;
    bench.execute("UPDATE jobs SET payload = '{}'").await;
    assert_eq!(once(&bench, &registry(), id).await, Some("dead"));
    assert_eq!(bench.job(id).await.1, 1);
}

#[tokio::test]
async fn an_unknown_job_waits_for_another_worker_and_is_dead_in_the_end() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Poison { number: 0 }).await;
    bench.execute("UPDATE jobs SET expires_at = NULL").await;
    assert_eq!(once(&bench, &registry(), id).await, Some("released"));
    assert_eq!(bench.job(id).await.1, 0);
    bench.clock.advance(Duration::from_secs(3600));
    assert_eq!(once(&bench, &registry(), id).await, Some("dead"));
    assert_eq!(bench.job(id).await.2.as_deref(), Some("no handler for testing.poison version 1"));
}

#[tokio::test]
async fn a_newer_version_is_left_for_a_newer_worker() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Chore { number: 2 }).await;
    bench.execute("UPDATE jobs SET version = 2").await;
    assert_eq!(once(&bench, &registry(), id).await, Some("released"));
    assert_eq!(bench.job(id).await.2.as_deref(), Some("no handler for testing.chore version 2"));
}

#[tokio::test]
async fn a_job_whose_purpose_is_over_does_not_run() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Chore { number: 2 }).await;
    bench.clock.advance(Duration::from_secs(900));
    assert_eq!(once(&bench, &registry(), id).await, Some("expired"));
    assert_eq!(letters(&bench).await.as_deref(), Some("0"));
}

#[tokio::test]
async fn a_drain_runs_what_is_due_and_what_that_causes() {
    let bench = Bench::new().await;
    let later = bench.enqueue(&Chore { number: 4 }).await;
    let now = bench.context.kernel.clock.now();
    bench.execute(&format!("UPDATE jobs SET run_at = {}", (now + Duration::from_secs(60)).0)).await;
    let first = bench.enqueue(&Chore { number: 2 }).await;
    let mut registry = registry();
    registry.mail(async |_: &Context, _: Letter| Ok(None)).unwrap();
    assert_eq!(drain(&bench.context, &registry).await.unwrap(), 2, "the chore and its letter");
    assert_eq!((bench.job(first).await.0, bench.job(later).await.0), ("done", "queued"));
    bench.clock.advance(Duration::from_secs(61));
    assert_eq!(drain(&bench.context, &registry).await.unwrap(), 2);
    assert_eq!(drain(&bench.context, &registry).await.unwrap(), 0);
}
