//! The objects that Gatepost keeps in its virtual host.
//!
//! ```text
//! publish ──► gatepost.jobs (direct) ── routing key = queue ──► gatepost.mail, .notify, .sweep, .identify (quorum)
//!                                                                        │ delivered too often
//!                                                                        ▼
//!                                  gatepost.dead (quorum) ◄── gatepost.dead (fanout)
//! ```
//!
//! `gatepost` is the default of `broker.prefix`; installations that share a virtual host differ in it.
//!
//! All of it is durable and declared idempotently, so a queue that someone deletes comes back. Quorum queues with
//! at-least-once dead-lettering exist since RabbitMQ 3.10; every argument that later versions default differently
//! (4.0 limits deliveries to 20) is written out. Arguments cannot be changed by declaring again: RabbitMQ answers 406
//! and the error names the object.

use lapin::{
    Channel, Connection, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

use super::{
    super::{BrokerConfig, BrokerError},
    failure,
};
use crate::jobs::Queue;

/// Deliveries of a dead letter before RabbitMQ drops it: in effect none, and valid for 3.10, which knows no
/// "unlimited".
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000_000;
/// Longest prefix; AMQP's names have at most 255 bytes.
const LONGEST_PREFIX: usize = 200;

/// The names and settings of the objects.
#[derive(Clone)]
pub(super) struct Topology {
    prefix: String,
    delivery_limit: u32,
}

impl Topology {
    /// Reads `broker.prefix` and `broker.delivery_limit`.
    ///
    /// # Errors
    /// When the prefix is empty, too long, or one that RabbitMQ keeps for itself.
    pub(super) fn read(config: &BrokerConfig) -> Result<Self, BrokerError> {
        let prefix = config.prefix.clone();
        if prefix.is_empty() || prefix.len() > LONGEST_PREFIX || prefix.starts_with("amq.") {
            let reason = format!("broker.prefix must have 1 to {LONGEST_PREFIX} bytes and not begin with \"amq.\"");
            return Err(BrokerError::Topology(reason));
        }
        Ok(Self { prefix, delivery_limit: config.delivery_limit })
    }

    /// The exchange that jobs are published to.
    pub(super) fn jobs(&self) -> ShortString {
        format!("{}.jobs", self.prefix).into()
    }

    /// The exchange and the queue of messages that RabbitMQ gave up on.
    pub(super) fn dead(&self) -> ShortString {
        format!("{}.dead", self.prefix).into()
    }

    /// The name of a queue at the broker.
    pub(super) fn queue(&self, queue: Queue) -> ShortString {
        format!("{}.{queue}", self.prefix).into()
    }

    /// Declares everything.
    ///
    /// # Errors
    /// [`BrokerError::Topology`] when an object exists with other settings, [`BrokerError::Unreachable`] otherwise.
    pub(super) async fn declare(&self, connection: &Connection) -> Result<(), BrokerError> {
        let channel = connection.create_channel().await.map_err(|error| failure::of_use(&error))?;
        declare_exchange(&channel, self.dead(), ExchangeKind::Fanout).await?;
        declare_queue(&channel, self.dead(), dead_arguments()).await?;
        bind(&channel, self.dead(), self.dead(), "").await?;
        declare_exchange(&channel, self.jobs(), ExchangeKind::Direct).await?;
        for queue in Queue::ALL {
            declare_queue(&channel, self.queue(queue), self.job_arguments()).await?;
            bind(&channel, self.queue(queue), self.jobs(), queue.as_str()).await?;
        }
        channel.close(200, "declared".into()).await.map_err(|error| failure::of_use(&error))
    }

    /// Asks RabbitMQ whether the exchange and all queues are there, without creating them.
    ///
    /// # Errors
    /// [`BrokerError::Unroutable`] when one is missing, [`BrokerError::Unreachable`] when there is no answer.
    pub(super) async fn probe(&self, connection: &Connection) -> Result<(), BrokerError> {
        let channel = connection.create_channel().await.map_err(|error| failure::of_use(&error))?;
        let there = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let asked = channel.exchange_declare(self.jobs(), ExchangeKind::Direct, there, FieldTable::default()).await;
        asked.map_err(|error| failure::of_use(&error))?;
        for queue in Queue::ALL {
            let there = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let asked = channel.queue_declare(self.queue(queue), there, FieldTable::default()).await;
            asked.map_err(|error| failure::of_use(&error))?;
        }
        channel.close(200, "probed".into()).await.map_err(|error| failure::of_use(&error))
    }

    fn job_arguments(&self) -> FieldTable {
        table(&[
            ("x-queue-type", text("quorum")),
            ("x-delivery-limit", AMQPValue::LongLongInt(i64::from(self.delivery_limit))),
            ("x-dead-letter-exchange", text(self.dead().as_str())),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ])
    }
}

async fn declare_exchange(channel: &Channel, name: ShortString, kind: ExchangeKind) -> Result<(), BrokerError> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = channel.exchange_declare(name.clone(), kind, options, FieldTable::default()).await;
    declared.map_err(|error| failure::of_declaring(&format!("exchange {name}"), &error))
}

async fn declare_queue(channel: &Channel, name: ShortString, arguments: FieldTable) -> Result<(), BrokerError> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let declared = channel.queue_declare(name.clone(), options, arguments).await;
    declared.map(drop).map_err(|error| failure::of_declaring(&format!("queue {name}"), &error))
}

async fn bind(channel: &Channel, queue: ShortString, exchange: ShortString, key: &str) -> Result<(), BrokerError> {
    let options = QueueBindOptions::default();
    let bound = channel.queue_bind(queue.clone(), exchange, key.into(), options, FieldTable::default()).await;
    bound.map_err(|error| failure::of_declaring(&format!("the binding of queue {queue}"), &error))
}

fn dead_arguments() -> FieldTable {
    let limit = AMQPValue::LongLongInt(DEAD_DELIVERY_LIMIT);
    table(&[("x-queue-type", text("quorum")), ("x-delivery-limit", limit)])
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert((*name).into(), value.clone());
    }
    table
}
