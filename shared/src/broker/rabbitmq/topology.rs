//! The objects that Gatepost keeps in its virtual host.
//!
//! ```text
//! publish ──► gatepost.jobs (direct) ── routing key = queue ──► gatepost.mail, .notify, .sweep, .identify (quorum)
//!                                                                        │ delivered too often
//!                                                                        ▼
//!                                  gatepost.dead (quorum) ◄── gatepost.dead (fanout)
//! ```
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

use super::{super::BrokerError, failure};
use crate::jobs::Queue;

/// The exchange that jobs are published to.
pub(super) const JOBS: &str = "gatepost.jobs";
/// The exchange and the queue of messages that RabbitMQ gave up on.
pub(super) const DEAD: &str = "gatepost.dead";
/// Deliveries of a dead letter before RabbitMQ drops it: in effect none, and valid for 3.10, which knows no
/// "unlimited".
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// The name of a queue at the broker.
pub(super) fn queue_name(queue: Queue) -> ShortString {
    format!("gatepost.{queue}").into()
}

/// Declares everything.
///
/// # Errors
/// [`BrokerError::Topology`] when an object exists with other settings, [`BrokerError::Unreachable`] otherwise.
pub(super) async fn declare(connection: &Connection, delivery_limit: u32) -> Result<(), BrokerError> {
    let channel = connection.create_channel().await.map_err(|error| failure::of_use(&error))?;
    declare_exchange(&channel, DEAD, ExchangeKind::Fanout).await?;
    declare_queue(&channel, DEAD.into(), dead_arguments()).await?;
    bind(&channel, DEAD.into(), DEAD, "").await?;
    declare_exchange(&channel, JOBS, ExchangeKind::Direct).await?;
    for queue in Queue::ALL {
        declare_queue(&channel, queue_name(queue), job_arguments(delivery_limit)).await?;
        bind(&channel, queue_name(queue), JOBS, queue.as_str()).await?;
    }
    channel.close(200, "declared".into()).await.map_err(|error| failure::of_use(&error))
}

/// Asks RabbitMQ whether the exchange and all queues are there, without creating them.
///
/// # Errors
/// [`BrokerError::Unroutable`] when one is missing, [`BrokerError::Unreachable`] when there is no answer.
pub(super) async fn probe(connection: &Connection) -> Result<(), BrokerError> {
    let channel = connection.create_channel().await.map_err(|error| failure::of_use(&error))?;
    let there = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let asked = channel.exchange_declare(JOBS.into(), ExchangeKind::Direct, there, FieldTable::default()).await;
    asked.map_err(|error| failure::of_use(&error))?;
    for queue in Queue::ALL {
        let there = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asked = channel.queue_declare(queue_name(queue), there, FieldTable::default()).await;
        asked.map_err(|error| failure::of_use(&error))?;
    }
    channel.close(200, "probed".into()).await.map_err(|error| failure::of_use(&error))
}

async fn declare_exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> Result<(), BrokerError> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await;
    declared.map_err(|error| failure::of_declaring(&format!("exchange {name}"), &error))
}

async fn declare_queue(channel: &Channel, name: ShortString, arguments: FieldTable) -> Result<(), BrokerError> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let declared = channel.queue_declare(name.clone(), options, arguments).await;
    declared.map(drop).map_err(|error| failure::of_declaring(&format!("queue {name}"), &error))
}

async fn bind(channel: &Channel, queue: ShortString, exchange: &str, key: &str) -> Result<(), BrokerError> {
    let options = QueueBindOptions::default();
    let bound = channel.queue_bind(queue.clone(), exchange.into(), key.into(), options, FieldTable::default()).await;
    bound.map_err(|error| failure::of_declaring(&format!("the binding of queue {queue}"), &error))
}

fn job_arguments(delivery_limit: u32) -> FieldTable {
    table(&[
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", AMQPValue::LongLongInt(i64::from(delivery_limit))),
        ("x-dead-letter-exchange", text(DEAD)),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ])
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
