//! What keeps the job system going: the reaper, the schedule, the gauges, and the messages that the broker gave up on.
//!
//! ```text
//! every 5 s   take or renew the lease `maintenance` (15 s)
//!   leader:     reaper pass ─ schedule ─ gauges           others: watch
//!   everybody:  read the age of the queues (readiness), take dead letters (each goes to one process)
//! ```
//!
//! Every worker process runs it. A leader that was stopped beyond its lease may overlap with the next one: all it does is
//! idempotent or guarded by a dedup key. On stop the lease is given up, so that another process takes over at once.

use std::{sync::Arc, time::Duration};

use sea_orm::DbErr;
use shared::{
    broker::{Broker, Delivery},
    chaos,
    jobs::{lease, reaper},
    lifecycle::{CancellationToken, Lifecycle},
};

use crate::{
    context::Context,
    depths::Reading,
    registry::Registry,
    schedule::{self, SCHEDULE},
};

/// The role that the leader holds.
pub const ROLE: &str = "maintenance";
/// How long the role is held without being renewed.
const HOLD: Duration = Duration::from_secs(15);
/// How often the role is renewed and its work done.
const RENEW: Duration = Duration::from_secs(5);
/// How long a dead letter waits before it is offered again when the database is away.
const LETTER_PAUSE: Duration = Duration::from_secs(1);

/// Name of the maintenance among the components of a process.
pub const COMPONENT: &str = "maintenance";

/// Starts the maintenance of this process.
pub(crate) fn spawn(
    context: &Arc<Context>,
    registry: &Arc<Registry>,
    broker: &Arc<dyn Broker>,
    lifecycle: &mut Lifecycle,
) {
    context.readiness.expect(COMPONENT);
    let leading = Maintenance {
        context: Arc::clone(context),
        registry: Arc::clone(registry),
        term: None,
        enqueued: vec![None; SCHEDULE.len()],
    };
    lifecycle.spawn(COMPONENT, leading.run(lifecycle.stopping()));
    let letters = take_dead_letters(Arc::clone(context), Arc::clone(broker), lifecycle.stopping());
    lifecycle.spawn("dead letters", letters);
}

struct Maintenance {
    context: Arc<Context>,
    registry: Arc<Registry>,
    term: Option<i64>,
    enqueued: Vec<Option<i64>>,
}

impl Maintenance {
    async fn run(mut self, stopping: CancellationToken) {
        loop {
            let state = self.pass().await.map_err(|error| {
                tracing::warn!(%error, "maintenance failed; it is tried again");
                "the database does not answer".to_owned()
            });
            self.context.readiness.set(COMPONENT, state);
            tokio::select! {
                () = stopping.cancelled() => break,
                () = tokio::time::sleep(RENEW) => {}
            }
        }
        self.release().await;
    }

    async fn pass(&mut self) -> Result<(), DbErr> {
        let kernel = Arc::clone(&self.context.kernel);
        let reading = self.context.depths.refresh(&kernel).await?;
        if !self.lead().await? {
            return Ok(());
        }
        reading.publish();
        reaper::pass(&kernel, |name| self.registry.retry_of(name)).await?;
        schedule::tick(&kernel, &mut self.enqueued).await
    }

    /// Takes or renews the role.
    async fn lead(&mut self) -> Result<bool, DbErr> {
        let kernel = &self.context.kernel;
        let tx = kernel.db.write_tx().await?;
        let held = lease::acquire(&*tx, ROLE, &self.context.owner, kernel.clock.now(), HOLD).await?;
        tx.commit().await?;
        let term = held.map(|lease| lease.term);
        if term != self.term {
            chaos::point("leader.after_acquire");
            match term {
                Some(term) => tracing::info!(term, "this process leads the maintenance"),
                // The gauges are the next leader's now.
                None => Reading::default().publish(),
            }
            self.term = term;
        }
        Ok(self.term.is_some())
    }

    async fn release(&self) {
        if self.term.is_none() {
            return;
        }
        let released = async {
            let tx = self.context.kernel.db.write_tx().await?;
            lease::release(&*tx, ROLE, &self.context.owner).await?;
            tx.commit().await
        };
        if let Err(error) = released.await {
            tracing::warn!(%error, "the lease was not given up; it ends by itself");
        }
    }
}

/// Puts jobs back in line whose messages the broker gave up on.
async fn take_dead_letters(context: Arc<Context>, broker: Arc<dyn Broker>, stopping: CancellationToken) {
    loop {
        let taken = tokio::select! {
            () = stopping.cancelled() => return,
            taken = broker.next_dead_letter() => taken,
        };
        match taken {
            Some(letter) => put_back(&context, letter).await,
            None => return stopping.cancelled().await,
        }
    }
}

async fn put_back(context: &Context, letter: Box<dyn Delivery>) {
    let id = letter.dispatch().map(|dispatch| dispatch.job_id);
    tracing::warn!(job_id = ?id, "the broker gave up on a message; its job, if it is one of ours, is due again");
    let put_back = match id {
        Some(id) => reaper::undeliverable(&context.kernel, id).await,
        None => Ok(()),
    };
    match put_back {
        Ok(()) => letter.ack().await,
        Err(error) => keep(letter, &error).await,
    }
}

async fn keep(letter: Box<dyn Delivery>, error: &DbErr) {
    tracing::warn!(%error, "a dead letter could not be put back; it stays");
    tokio::time::sleep(LETTER_PAUSE).await;
    letter.requeue().await;
}

#[cfg(test)]
mod tests;
