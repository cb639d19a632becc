//! What every broker must do: the same cases for the in-process one and for RabbitMQ.
//!
//! ```text
//! Fixture (a broker, and ways to hurt it) ──► run_all ──► [(case, Ok | what went wrong)]
//! ```
//!
//! The cases state the contract of [`Broker`] from outside. A case waits for what must happen, up to
//! [`Fixture::patience`]; only where nothing must happen it waits for [`Fixture::quiet`]. Messages that an earlier case
//! left behind are acknowledged and passed over, so the cases may run in any order on one broker, though not at once.
//!
//! A broker that cannot be hurt in some way (nobody can delete a queue of a process from outside) says so in
//! [`Fixture::incapable`]; a capability that fails without having been named there fails the case. No case promises an
//! order of messages.

mod delivery;
mod flow;
mod outage;
mod steps;

use std::{future::Future, pin::Pin, time::Duration};

use async_trait::async_trait;

use super::Broker;
use crate::jobs::Queue;

/// A way to hurt a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// [`Fixture::publish_raw`].
    RawBytes,
    /// [`Fixture::purge`].
    Purge,
    /// [`Fixture::delete_queue`].
    DeleteQueue,
    /// [`Fixture::sever`].
    Sever,
    /// [`Fixture::restart`].
    Restart,
}

/// A broker under test. Each way to hurt it returns whether it was done.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The broker.
    fn broker(&self) -> &dyn Broker;

    /// What this broker can by its nature not be put through; the tests that use the fixture assert this list.
    fn incapable(&self) -> &'static [Capability] {
        &[]
    }

    /// How long something that must happen may take.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// How long to watch that something does not happen.
    fn quiet(&self) -> Duration {
        Duration::from_millis(300)
    }

    /// Puts bytes into a queue that need not be a [`Dispatch`](super::Dispatch).
    async fn publish_raw(&self, queue: Queue, bytes: &[u8]) -> bool;

    /// Removes all messages of a queue.
    async fn purge(&self, queue: Queue) -> bool;

    /// Removes a queue, behind the broker's back.
    async fn delete_queue(&self, queue: Queue) -> bool;

    /// Breaks all connections to the broker.
    async fn sever(&self) -> bool;

    /// Kills the broker and starts it again; its stored messages survive. Returns when it can be reached.
    async fn restart(&self) -> bool;
}

/// How a case ended: an error is a sentence that says what went wrong.
pub type Outcome = Result<(), String>;

/// A case.
pub type Case = for<'a> fn(&'a dyn Fixture) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// All cases with their names.
pub const CASES: &[(&str, Case)] = &[
    ("an acknowledged message is gone", |fixture| Box::pin(delivery::ack_removes(fixture))),
    ("a message that is given back comes again", |fixture| Box::pin(delivery::requeue_redelivers(fixture))),
    ("a consumer that dies gives its messages back", |fixture| Box::pin(delivery::death_redelivers(fixture))),
    ("bytes that are no dispatch are poison, not a crash", |fixture| Box::pin(delivery::poison(fixture))),
    ("a message published twice is delivered twice", |fixture| Box::pin(delivery::duplicates(fixture))),
    ("a trace context arrives with its message", |fixture| Box::pin(delivery::content(fixture))),
    ("a message for no queue is reported, the others arrive", |fixture| Box::pin(flow::unroutable(fixture))),
    ("two consumers share the work", |fixture| Box::pin(flow::sharing(fixture))),
    ("a closed consumer takes nothing and can still answer", |fixture| Box::pin(flow::closing(fixture))),
    ("unanswered messages are bounded by the prefetch", |fixture| Box::pin(flow::prefetch(fixture))),
    ("an interrupted wait loses nothing", |fixture| Box::pin(flow::interrupted(fixture))),
    ("a queue reaches its own consumers only", |fixture| Box::pin(flow::separation(fixture))),
    ("a purged queue goes on working", |fixture| Box::pin(outage::purged(fixture))),
    ("a deleted queue comes back with its consumer", |fixture| Box::pin(outage::deleted(fixture))),
    ("a broken connection in mid-batch loses nothing", |fixture| Box::pin(outage::severed(fixture))),
    ("a broker restart in mid-batch loses nothing", |fixture| Box::pin(outage::restarted(fixture))),
];

/// Runs all cases, one after the other.
pub async fn run_all(fixture: &dyn Fixture) -> Vec<(&'static str, Outcome)> {
    let mut outcomes = Vec::with_capacity(CASES.len());
    for (name, case) in CASES {
        outcomes.push((*name, case(fixture).await));
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::{super::memory::MemoryBroker, *};

    /// The in-process broker: typed, and without anything that could break apart from it.
    #[async_trait]
    impl Fixture for MemoryBroker {
        fn broker(&self) -> &dyn Broker {
            self
        }

        fn incapable(&self) -> &'static [Capability] {
            &[Capability::RawBytes, Capability::DeleteQueue, Capability::Sever, Capability::Restart]
        }

        async fn publish_raw(&self, _queue: Queue, _bytes: &[u8]) -> bool {
            false
        }

        async fn purge(&self, queue: Queue) -> bool {
            Self::purge(self, queue);
            true
        }

        async fn delete_queue(&self, _queue: Queue) -> bool {
            false
        }

        async fn sever(&self) -> bool {
            false
        }

        async fn restart(&self) -> bool {
            false
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_in_process_broker_conforms() {
        let outcomes = run_all(&MemoryBroker::default()).await;
        let failed: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }
}
