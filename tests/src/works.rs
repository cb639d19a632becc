//! The moving parts of an installation in process: relay, consumers and maintenance over a broker of the test's own.
//!
//! ```text
//! run_due(app)     every due job, one after the other, without relay and broker: what happens is the test's choice
//! Works::start     relay ─► Wire (a broker that remembers and repeats) ─► consumers, maintenance
//! ```

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use shared::{
    broker::{Broker, BrokerError, Consumer, Delivery, Dispatch, memory::MemoryBroker},
    jobs::{Job, JobId, JobState, Queue, enqueue, operate, relay},
    lifecycle::{CancellationToken, Lifecycle},
};

use crate::TestApp;

/// How long something that must happen may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs every due job directly, whatever broker the tests run with. Returns how many attempts there were.
///
/// # Panics
/// When the database fails.
pub async fn run_due(app: &TestApp) -> usize {
    workers::drain(&app.context, &app.registry).await.expect("jobs")
}

/// Runs one attempt at one job, and no retry of it. Returns how the attempt ended.
///
/// # Panics
/// When the database fails.
pub async fn run_once(app: &TestApp, id: JobId) -> Option<&'static str> {
    let nothing = CancellationToken::new();
    workers::attempt::run(&app.context, &app.registry, id, &nothing).await.expect("a job")
}

/// Enqueues a job in a transaction of its own.
///
/// # Panics
/// When the database fails.
pub async fn enqueue_one<J: Job>(app: &TestApp, job: &J) -> JobId {
    let tx = app.kernel.db.write_tx().await.expect("a transaction");
    let id = enqueue(&tx, app.kernel.clock.as_ref(), job).await.expect("a job");
    tx.commit().await.expect("a commit");
    id.expect("a job of its own")
}

/// State, attempts and last error of a job.
///
/// # Panics
/// When there is no such job.
pub async fn job(app: &TestApp, id: JobId) -> (JobState, i32, Option<String>) {
    let row = operate::find(app.kernel.db.reader(), id).await.expect("jobs").expect("the job");
    (row.state, row.attempt, row.last_error)
}

/// Waits until a condition holds.
///
/// # Panics
/// When it does not in time.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The in-process broker, which remembers all that crossed it and delivers each message any number of times.
pub struct Wire {
    broker: MemoryBroker,
    copies: AtomicUsize,
    seen: Mutex<Vec<Dispatch>>,
}

impl Default for Wire {
    fn default() -> Self {
        Self::repeating(1)
    }
}

impl Wire {
    /// One that delivers each message this many times.
    #[must_use]
    pub fn repeating(copies: usize) -> Self {
        Self { broker: MemoryBroker::default(), copies: AtomicUsize::new(copies), seen: Mutex::default() }
    }

    /// Everything that was published.
    #[must_use]
    pub fn seen(&self) -> Vec<Dispatch> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the waiting messages of a queue.
    pub fn purge(&self, queue: Queue) {
        self.broker.purge(queue);
    }
}

#[async_trait]
impl Broker for Wire {
    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), BrokerError>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(batch);
        for _ in 1..self.copies.load(Ordering::Relaxed) {
            drop(self.broker.publish(batch).await);
        }
        self.broker.publish(batch).await
    }

    async fn consume(&self, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError> {
        self.broker.consume(queue, prefetch).await
    }

    async fn next_dead_letter(&self) -> Option<Box<dyn Delivery>> {
        self.broker.next_dead_letter().await
    }

    async fn check(&self) -> Result<(), BrokerError> {
        self.broker.check().await
    }

    async fn close(&self) {
        self.broker.close().await;
    }
}

/// Relay, consumers of all queues and maintenance of an application, running until they are stopped.
pub struct Works {
    /// What the messages cross.
    pub wire: Arc<Wire>,
    lifecycle: Lifecycle,
    grace: Duration,
}

impl Works {
    /// Starts them with the application's handlers.
    ///
    /// # Panics
    /// When the broker cannot be used.
    pub async fn start(app: &TestApp, wire: Wire) -> Self {
        let wire = Arc::new(wire);
        let broker: Arc<dyn Broker> = Arc::<Wire>::clone(&wire);
        let mut lifecycle = Lifecycle::new();
        lifecycle.readiness = app.context.readiness.clone();
        let relaying =
            relay::run(Arc::clone(&app.kernel), Arc::clone(&broker), lifecycle.readiness.clone(), lifecycle.stopping());
        lifecycle.spawn(relay::COMPONENT, relaying);
        let (context, registry) = (Arc::clone(&app.context), Arc::clone(&app.registry));
        workers::spawn(context, registry, broker, &Queue::ALL, &mut lifecycle).await.expect("consumers");
        Self { wire, lifecycle, grace: Duration::from_secs(app.kernel.config.http.grace_seconds) }
    }

    /// Stops them as SIGTERM does: what runs may finish within the grace period.
    pub async fn stop(self) -> Arc<Wire> {
        let grace = self.grace;
        self.lifecycle.stop(grace).await;
        self.wire
    }
}
