//! The broker: distributes the ids of due jobs to the workers of each queue. Never the only place that knows of a job.
//!
//! ```text
//! relay ── publish(Dispatch) ──► queue ──► Consumer::next() ──► Delivery ── ack | requeue
//! ```
//!
//! Two implementations: [`memory`] for one process, [`rabbitmq`] for many. Both pass the same
//! [`conformance`] suite. Deliveries may repeat and come in any order; handlers must need
//! neither.

mod config;
pub mod conformance;
pub mod memory;
pub mod rabbitmq;

use std::sync::Arc;

use async_trait::async_trait;
pub use config::BrokerConfig;
use serde::{Deserialize, Serialize};

use crate::jobs::{JobId, Queue};

/// What crosses the broker: which job, and its trace. The payload stays in the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// The job.
    pub job_id: JobId,
    /// Its wire name, for people who look at a queue.
    pub name: String,
    /// Its payload version.
    pub version: u16,
    /// Claims so far.
    pub attempt: u16,
    /// Its queue.
    #[serde(skip)]
    pub queue: Option<Queue>,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Why the broker did not take or give a message.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No connection, or it broke.
    #[error("the broker is unreachable: {0}")]
    Unreachable(String),
    /// The broker took longer than the time limit, as under a disk or memory alarm.
    #[error("the broker did not answer in time")]
    Timeout,
    /// The message reached no queue.
    #[error("the broker has no queue for the message")]
    Unroutable,
    /// The queue refused the message, for instance because it is full.
    #[error("the broker refused the message")]
    Refused,
    /// The broker's objects differ from what this version declares; an operator has to act.
    #[error("the broker's topology does not match: {0}")]
    Topology(String),
}

/// A message taken from a queue. Dropping it without an answer returns it to the queue when the consumer ends.
#[async_trait]
pub trait Delivery: Send {
    /// What was delivered; `None` when the bytes are not a [`Dispatch`].
    fn dispatch(&self) -> Option<&Dispatch>;
    /// Removes the message. A failure means that it will be delivered again, which is harmless.
    async fn ack(self: Box<Self>);
    /// Gives the message back for another consumer.
    async fn requeue(self: Box<Self>);
}

/// The receiving end of one queue in one worker process.
#[async_trait]
pub trait Consumer: Send {
    /// The next message; `None` once the consumer was closed. Reconnects by itself.
    async fn next(&mut self) -> Option<Box<dyn Delivery>>;
    /// Whether the broker knows this consumer at this moment.
    ///
    /// # Errors
    /// Why it does not.
    fn is_registered(&self) -> Result<(), String>;
    /// Stops taking messages; messages already taken can still be answered.
    async fn close(&mut self);
}

/// A broker.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Hands messages over. The answer at an index says whether that message is safely in its queue.
    async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), BrokerError>>;
    /// Starts consuming a queue with at most `prefetch` unanswered messages (at least one). While the broker is away
    /// the consumer exists without being registered; it fails only when the topology does not match.
    async fn consume(&self, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError>;
    /// The next message that the broker gave up on (dead-lettered). Acknowledge it after the table knows of it: one
    /// that is dropped is delivered again. Waits for ever where no such list is kept; `None` once the broker was
    /// closed.
    async fn next_dead_letter(&self) -> Option<Box<dyn Delivery>>;
    /// Whether the broker can take messages now, else why not.
    async fn check(&self) -> Result<(), BrokerError>;
    /// Ends connections in an orderly way.
    async fn close(&self);
}

/// Connects to the broker that the configuration names. RabbitMQ's topology is declared here.
///
/// A RabbitMQ that is away is no error: the broker keeps connecting in the background, [`Broker::check`] says so, and
/// jobs wait in the table meanwhile.
///
/// # Errors
/// When the URL is not understood, or RabbitMQ answers and its objects do not match.
pub async fn connect(config: &BrokerConfig) -> Result<Arc<dyn Broker>, BrokerError> {
    let url = config.url.expose();
    if url.starts_with("memory:") {
        return Ok(Arc::new(memory::MemoryBroker::default()));
    }
    if url.starts_with("amqp:") || url.starts_with("amqps:") {
        return Ok(Arc::new(rabbitmq::RabbitMq::connect(config).await?));
    }
    Err(BrokerError::Unreachable("broker.url must begin with memory:, amqp: or amqps:".to_owned()))
}
