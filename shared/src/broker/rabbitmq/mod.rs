//! RabbitMQ as the broker of many processes.
//!
//! ```text
//!            ┌─ connection "publishes" ─ 8 channels in confirm mode ──► gatepost.jobs ──► gatepost.<queue>
//! RabbitMq ──┤
//!            └─ connection "consumes" ── a channel per consumer ◄────── gatepost.<queue>, gatepost.dead
//! ```
//!
//! Invariants: an `Ok` of a publish means that RabbitMQ has the message on disk in its queue; every operation ends
//! within the time limit; a consumer that is wanted is registered again by itself. Publishing and consuming have a
//! connection each, because RabbitMQ stops reading from a publisher under a memory or disk alarm, and
//! acknowledgements have to get through just then. The second one is opened by the first consumer: a gateway needs
//! none.
//!
//! Failure behaviour: while RabbitMQ is away, publishing fails at once with [`BrokerError::Unreachable`], consumers
//! report why they are not registered, and the connections are opened again with a jittered back-off of at most 5 s.
//! A dead peer that says nothing is noticed by the heartbeat, after twice its interval. Works with RabbitMQ 3.10 and
//! later.
//!
//! Reading order: `topology`, `link`, `publisher`, `consumer`.

mod consumer;
mod dial;
mod failure;
mod inbox;
mod link;
mod publisher;
mod task;
#[cfg(test)]
mod tests;
mod topology;

use std::{sync::OnceLock, time::Duration};

use async_trait::async_trait;
use consumer::RabbitConsumer;
use link::{Link, Plan};
use publisher::Publisher;
use topology::Topology;

use super::{Broker, BrokerConfig, BrokerError, Consumer, Delivery, Dispatch};
use crate::jobs::Queue;

/// Dead letters taken and not yet answered at one time.
const DEAD_PREFETCH: u16 = 16;

/// The broker behind an `amqp:` or `amqps:` URL.
pub struct RabbitMq {
    plan: Plan,
    publisher: Publisher,
    consuming: OnceLock<Link>,
    dead_letters: tokio::sync::Mutex<Option<RabbitConsumer>>,
    closed: tokio_util::sync::CancellationToken,
}

impl RabbitMq {
    /// Connects and declares the topology. If RabbitMQ is away, this returns after the time limit at the latest and
    /// goes on connecting in the background.
    ///
    /// # Errors
    /// [`BrokerError::Unreachable`] when the URL is not understood, [`BrokerError::Topology`] when the prefix is not
    /// usable or when RabbitMQ is there and one of its objects has other settings than this version declares.
    pub async fn connect(config: &BrokerConfig) -> Result<Self, BrokerError> {
        let plan = Plan {
            uri: dial::address(config)?,
            limit: Duration::from_secs(config.timeout_seconds.max(1)),
            topology: Topology::read(config)?,
        };
        let publishing = Link::start("gatepost publishes", plan.clone());
        match publishing.settled().await {
            Err(error @ BrokerError::Topology(_)) => return Err(error),
            Err(error) => tracing::warn!(%error, "starting without RabbitMQ; jobs wait in the table"),
            Ok(_) => {}
        }
        Ok(Self {
            plan,
            publisher: Publisher::over(publishing),
            consuming: OnceLock::new(),
            dead_letters: tokio::sync::Mutex::default(),
            closed: tokio_util::sync::CancellationToken::new(),
        })
    }

    fn consuming(&self) -> Link {
        self.consuming.get_or_init(|| Link::start("gatepost consumes", self.plan.clone())).clone()
    }

    async fn take_dead_letter(&self) -> Option<Box<dyn Delivery>> {
        let mut consumer = self.dead_letters.lock().await;
        let start = || RabbitConsumer::start(self.consuming(), self.plan.topology.dead(), DEAD_PREFETCH);
        consumer.get_or_insert_with(start).next().await
    }
}

#[async_trait]
impl Broker for RabbitMq {
    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), BrokerError>> {
        self.publisher.publish(batch).await
    }

    async fn consume(&self, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError> {
        if self.closed.is_cancelled() {
            return Err(BrokerError::Unreachable("closed".to_owned()));
        }
        let consumer = RabbitConsumer::start(self.consuming(), self.plan.topology.queue(queue), prefetch);
        consumer.settled().await?;
        Ok(Box::new(consumer))
    }

    async fn next_dead_letter(&self) -> Option<Box<dyn Delivery>> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => None,
            taken = self.take_dead_letter() => taken,
        }
    }

    async fn check(&self) -> Result<(), BrokerError> {
        self.publisher.check().await
    }

    async fn close(&self) {
        self.closed.cancel();
        // Someone may hold a `next_dead_letter` without polling it; then the end of the connection ends that consumer.
        if let Ok(mut dead_letters) = self.dead_letters.try_lock()
            && let Some(mut consumer) = dead_letters.take()
        {
            consumer.close().await;
        }
        if let Some(link) = self.consuming.get() {
            link.close().await;
        }
        self.publisher.close().await;
    }
}
