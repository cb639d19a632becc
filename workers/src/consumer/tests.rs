//! A whole worker on the in-process broker.

use std::sync::atomic::{AtomicUsize, Ordering};

use shared::{broker::memory::MemoryBroker, db::Tx, jobs::relay};

use super::*;
use crate::{
    mail::{Mail, SendError},
    registry::JobError,
    testing::{Bench, Chore, Letter},
};

async fn chore(_: &Context, _: &Tx, _: Chore) -> Result<(), JobError> {
    Ok(())
}

async fn letter(_: &Context, job: Letter) -> Result<Option<Mail>, JobError> {
    let context = minijinja::context! { link => "http://localhost/x", expires_hours => 24, providers => "" };
    Ok(Some(Mail::new("recovery/reset_link", &format!("reader-{}@example.com", job.number), context)))
}

async fn start(bench: &Bench) -> Lifecycle {
    let mut registry = Registry::new();
    registry.on(chore).unwrap().mail(letter).unwrap();
    start_with(bench, registry).await
}

async fn start_with(bench: &Bench, registry: Registry) -> Lifecycle {
    let mut lifecycle = Lifecycle::new();
    let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::default());
    let kernel = Arc::clone(&bench.context.kernel);
    let readiness = bench.context.readiness.clone();
    lifecycle.spawn("relay", relay::run(kernel, Arc::clone(&broker), readiness, lifecycle.stopping()));
    let queues = [Queue::Mail, Queue::Sweep];
    spawn(Arc::clone(&bench.context), Arc::new(registry), broker, &queues, &mut lifecycle).await.unwrap();
    lifecycle
}

/// Looks again until it is so, for at most ten seconds.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looked = timeout(Duration::from_secs(10), async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(looked.await.is_ok(), "{what} did not happen");
}

#[tokio::test]
async fn jobs_of_all_its_queues_are_done_and_it_is_ready() {
    let bench = Bench::with(|config| config.jobs.poll_milliseconds = 20).await;
    let lifecycle = start(&bench).await;
    let (chore, letter) = (bench.enqueue(&Chore { number: 1 }).await, bench.enqueue(&Letter { number: 1 }).await);
    eventually("both jobs done", async || bench.job(chore).await.0 == "done" && bench.job(letter).await.0 == "done")
        .await;
    eventually("readiness", async || bench.context.readiness.is_ready()).await;
    let components = bench.context.readiness.components();
    for component in ["worker.mail", "worker.sweep", "maintenance", "mail", "relay"] {
        assert!(components.contains_key(component), "{component} is missing from {components:?}");
    }
    lifecycle.stop(Duration::from_secs(5)).await;
    assert!(!bench.context.readiness.is_ready(), "a stopped worker is not ready");
}

#[tokio::test]
async fn a_worker_whose_oldest_job_is_too_old_is_not_ready() {
    let bench = Bench::with(|config| {
        config.jobs.poll_milliseconds = 20;
        config.jobs.max_age_seconds = 5;
    })
    .await;
    let id = bench.enqueue(&Chore { number: 1 }).await;
    // Its queue has no message: it was lost, and the reaper has not come by yet.
    let at = bench.context.kernel.clock.now();
    let sql = format!("UPDATE jobs SET state = 'dispatched', dispatched_at = {0}, run_at = {0} - 9000000", at.0);
    bench.execute(&sql).await;
    let lifecycle = start(&bench).await;
    let state = |name: &str| bench.context.readiness.components().get(name).cloned();
    eventually("the mail worker ready", async || state("worker.mail") == Some(Ok(()))).await;
    eventually("the sweep worker red", async || {
        state("worker.sweep").is_some_and(|state| state.is_err_and(|reason| reason.contains("seconds old")))
    })
    .await;
    assert_eq!(bench.job(id).await.0, "dispatched");
    lifecycle.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_queue_that_sends_mail_pauses_and_the_others_go_on() {
    let bench = Bench::with(|config| {
        config.jobs.poll_milliseconds = 20;
        config.mail.pause_seconds = 2;
    })
    .await;
    bench.transport.answer(SendError::Configuration("535 no".into()));
    let lifecycle = start(&bench).await;
    let first = bench.enqueue(&Letter { number: 1 }).await;
    eventually("the breaker open", async || bench.context.mailer.breaker().is_open()).await;
    let second = bench.enqueue(&Letter { number: 2 }).await;
    let chore = bench.enqueue(&Chore { number: 1 }).await;
    eventually("the chore done", async || bench.job(chore).await.0 == "done").await;
    assert_eq!(bench.transport.sent().len(), 1, "mails wait");
    eventually("the mails done", async || bench.job(first).await.0 == "done" && bench.job(second).await.0 == "done")
        .await;
    assert!(!bench.context.mailer.breaker().is_open());
    lifecycle.stop(Duration::from_secs(5)).await;
}

async fn hanging(_: &Context, _: &Tx, _: Chore) -> Result<(), JobError> {
    std::future::pending().await
}

#[tokio::test]
async fn a_stop_leaves_no_lease_behind() {
    let bench = Bench::with(|config| {
        config.jobs.poll_milliseconds = 20;
        config.http.grace_seconds = 2;
    })
    .await;
    let mut registry = Registry::new();
    registry.on(hanging).unwrap();
    let lifecycle = start_with(&bench, registry).await;
    let id = bench.enqueue(&Chore { number: 1 }).await;
    eventually("the job running", async || bench.job(id).await.0 == "running").await;
    lifecycle.stop(Duration::from_secs(2)).await;
    assert_eq!(bench.job(id).await, ("queued", 0, Some("the worker stopped".into())));
    let leases = "SELECT CAST(COUNT(*) AS TEXT) FROM leases WHERE held_until > 0";
    assert_eq!(bench.text(leases).await.as_deref(), Some("0"), "the next leader need not wait");
}

/// A message that counts how it was answered.
struct Counted {
    acked: Arc<AtomicUsize>,
    given_back: Arc<AtomicUsize>,
    dispatch: Option<shared::broker::Dispatch>,
}

#[async_trait::async_trait]
impl Delivery for Counted {
    fn dispatch(&self) -> Option<&shared::broker::Dispatch> {
        self.dispatch.as_ref()
    }

    async fn ack(self: Box<Self>) {
        self.acked.fetch_add(1, Ordering::SeqCst);
    }

    async fn requeue(self: Box<Self>) {
        self.given_back.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_message_is_acknowledged_after_its_job_and_given_back_without_a_database() {
    let bench = Bench::new().await;
    let (acked, given_back) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut registry = Registry::new();
    registry.on(chore).unwrap();
    let registry = Arc::new(registry);
    let take = async |dispatch| {
        let delivery = Counted { acked: Arc::clone(&acked), given_back: Arc::clone(&given_back), dispatch };
        let (context, registry) = (Arc::clone(&bench.context), Arc::clone(&registry));
        let in_flight = InFlight::enter(Queue::Sweep);
        handle(context, registry, Box::new(delivery), CancellationToken::new(), in_flight).await;
        (acked.load(Ordering::SeqCst), given_back.load(Ordering::SeqCst))
    };
    let id = bench.enqueue(&Chore { number: 1 }).await;
    let dispatch = shared::broker::Dispatch {
        job_id: id,
        name: "testing.chore".into(),
        version: 1,
        attempt: 0,
        queue: Some(Queue::Sweep),
        traceparent: None,
    };
    assert_eq!(take(None).await, (1, 0), "not one of ours");
    assert_eq!(take(Some(dispatch.clone())).await, (2, 0));
    assert_eq!(take(Some(dispatch.clone())).await, (3, 0), "a duplicate");
    bench.execute("ALTER TABLE jobs RENAME TO elsewhere").await;
    assert_eq!(take(Some(dispatch)).await, (3, 1));
}
