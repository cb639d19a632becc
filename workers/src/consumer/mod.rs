//! The consumer of one queue: takes messages, runs their jobs side by side, and says whether it is ready.
//!
//! ```text
//! next() ──► held ──► gate (a queue that sends mail pauses while mail is broken) ──► task: attempt ──► ack
//!    ▲ only while fewer than `jobs.concurrency` run                                    └─ no database ──► give back
//! ```
//!
//! A worker that is alive but consumes nothing must be red: the component `worker.<queue>` is ready only while the broker
//! knows the consumer and the oldest due job is younger than `jobs.max_age_seconds`. On stop it takes nothing more, gives
//! back what it has not begun, and waits for what runs; what still runs shortly before the grace period ends is called
//! off, and goes back in line with nothing half done.

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use sea_orm::DbErr;
use shared::{
    broker::{Broker, BrokerError, Consumer, Delivery},
    chaos,
    jobs::Queue,
    lifecycle::{CancellationToken, Lifecycle, Readiness},
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout, timeout_at},
};

use crate::{
    attempt,
    context::{Context, MAIL_COMPONENT},
    maintenance,
    registry::Registry,
};

/// How often readiness is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a message is held when its job cannot be claimed because the database is away.
const CLAIM_PAUSE: Duration = Duration::from_secs(1);
/// What is left of the grace period for putting back what did not finish.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Starts the consumers of `queues` and the maintenance of this process as components of `lifecycle`. The relay is not
/// among them.
///
/// # Errors
/// When the broker's topology does not match.
pub async fn spawn(
    context: Arc<Context>,
    registry: Arc<Registry>,
    broker: Arc<dyn Broker>,
    queues: &[Queue],
    lifecycle: &mut Lifecycle,
) -> Result<(), BrokerError> {
    let concurrency = context.kernel.config.jobs.concurrency.max(1);
    if queues.iter().any(|queue| registry.sends_mail(*queue)) {
        context.readiness.set(MAIL_COMPONENT, Ok(()));
    }
    // Known before the first look, or the process would not be ready until the second one.
    if let Err(error) = context.depths.refresh(&context.kernel).await {
        tracing::warn!(%error, "the queues could not be read");
    }
    // Side by side: while RabbitMQ is away each of them takes its time limit.
    let consumers = try_join_all(queues.iter().map(|queue| broker.consume(*queue, concurrency))).await?;
    for (queue, consumer) in queues.iter().zip(consumers) {
        let worker = Worker {
            context: Arc::clone(&context),
            registry: Arc::clone(&registry),
            queue: *queue,
            concurrency: usize::from(concurrency),
            consumer,
            running: JoinSet::new(),
            hurry: CancellationToken::new(),
        };
        context.readiness.expect(component(*queue));
        lifecycle.spawn(component(*queue), worker.run(lifecycle.stopping()));
    }
    maintenance::spawn(&context, &registry, &broker, lifecycle);
    Ok(())
}

/// Announces what [`spawn`] will start: until then a process that is asked is not ready.
pub(crate) fn announce(readiness: &Readiness, queues: &[Queue]) {
    for queue in queues {
        readiness.expect(component(*queue));
    }
    readiness.expect(maintenance::COMPONENT);
}

/// Name of a queue's worker among the components of a process.
const fn component(queue: Queue) -> &'static str {
    match queue {
        Queue::Mail => "worker.mail",
        Queue::Notify => "worker.notify",
        Queue::Sweep => "worker.sweep",
        Queue::Identify => "worker.identify",
    }
}

struct Worker {
    context: Arc<Context>,
    registry: Arc<Registry>,
    queue: Queue,
    concurrency: usize,
    consumer: Box<dyn Consumer>,
    running: JoinSet<()>,
    hurry: CancellationToken,
}

impl Worker {
    async fn run(mut self, stopping: CancellationToken) {
        let pauses = self.registry.sends_mail(self.queue);
        let context = Arc::clone(&self.context);
        let gate = || async {
            if pauses {
                context.mailer.breaker().pass().await;
            }
        };
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut held: Option<Box<dyn Delivery>> = None;
        loop {
            let has_room = held.is_none() && self.running.len() < self.concurrency;
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                _ = look.tick() => self.look(),
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => log_abort(ended),
                () = gate(), if held.is_some() => if let Some(delivery) = held.take() { self.begin(delivery) },
                taken = self.consumer.next(), if has_room => match taken {
                    Some(delivery) => held = Some(delivery),
                    None => break,
                },
            }
        }
        self.stop(held).await;
    }

    /// Runs the job of a message in a task of its own.
    fn begin(&mut self, delivery: Box<dyn Delivery>) {
        let (context, registry) = (Arc::clone(&self.context), Arc::clone(&self.registry));
        let in_flight = InFlight::enter(self.queue);
        self.running.spawn(handle(context, registry, delivery, self.hurry.clone(), in_flight));
    }

    fn look(&self) {
        let bound = Duration::from_secs(self.context.kernel.config.jobs.max_age_seconds);
        let state = self.consumer.is_registered().and_then(|()| match self.context.depths.age(self.queue) {
            None => Err("the age of the oldest due job is unknown; the database does not answer".to_owned()),
            Some(age) if age >= bound => Err(format!("the oldest due job is {} seconds old", age.as_secs())),
            Some(_) => Ok(()),
        });
        self.context.readiness.set(component(self.queue), state);
    }

    async fn stop(mut self, held: Option<Box<dyn Delivery>>) {
        let grace = Duration::from_secs(self.context.kernel.config.http.grace_seconds);
        let patience = Instant::now() + grace.saturating_sub(LAST_WORDS).max(grace / 2);
        self.consumer.close().await;
        self.context.readiness.set(component(self.queue), Err("stopping".to_owned()));
        if let Some(delivery) = held {
            delivery.requeue().await;
        }
        let finished = timeout_at(patience, async {
            while let Some(ended) = self.running.join_next().await {
                log_abort(ended);
            }
        });
        if finished.await.is_err() {
            tracing::warn!(queue = %self.queue, jobs = self.running.len(), "calling off jobs that still run");
            self.hurry.cancel();
            while let Some(ended) = self.running.join_next().await {
                log_abort(ended);
            }
        }
    }
}

async fn handle(
    context: Arc<Context>,
    registry: Arc<Registry>,
    delivery: Box<dyn Delivery>,
    hurry: CancellationToken,
    _in_flight: InFlight,
) {
    let Some(id) = delivery.dispatch().map(|dispatch| dispatch.job_id) else {
        tracing::warn!("dropped a message that is not ours; the job it stood for, if any, is handed out again");
        return delivery.ack().await;
    };
    chaos::point("worker.after_receive");
    match attempt::run(&context, &registry, id, &hurry).await {
        Ok(_) => {
            chaos::point("worker.after_commit_before_ack");
            delivery.ack().await;
        }
        Err(error) => give_back(delivery, &error, &hurry).await,
    }
}

/// The database is away: an immediate redelivery would find it away as well.
async fn give_back(delivery: Box<dyn Delivery>, error: &DbErr, hurry: &CancellationToken) {
    tracing::warn!(%error, "a job could not be claimed; its message goes back");
    drop(timeout(CLAIM_PAUSE, hurry.cancelled()).await);
    delivery.requeue().await;
}

/// Handlers' panics are caught in the attempt; one that ends a task is a defect of the worker itself.
fn log_abort(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the task of a job ended abnormally; the reaper takes the job over");
    }
}

/// Counts a job in flight until it is dropped.
struct InFlight(metrics::Gauge);

impl InFlight {
    fn enter(queue: Queue) -> Self {
        let gauge = metrics::gauge!("gatepost_jobs_in_flight", "queue" => queue.as_str());
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[cfg(test)]
mod tests;
