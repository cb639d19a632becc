//! Publishing: persistent, mandatory, confirmed, each message within the time limit.
//!
//! ```text
//! batch ──► 32 at a time ── idle channel or a new one ── publish ── wait for its confirm ── channel is idle again
//!                                                          │ timeout, error → the channel is thrown away
//!                                                          ▼
//!                               ack → Ok · returned → Unroutable · nack → Refused · silence → Timeout
//! ```
//!
//! One message is in flight per channel. With several, lapin attaches a returned message to whichever confirm completes
//! next, so a message that reached no queue would count as delivered and another one as lost.
//!
//! Under a memory or disk alarm RabbitMQ stops reading and a publish never resolves. The first one runs into the time
//! limit; what the batch has not begun by then, and everything while RabbitMQ says that it is blocked, fails at once.
//! A message whose confirm did not arrive may have been stored all the same: it is published again, which is harmless.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    super::{BrokerError, Dispatch},
    failure,
    link::{Link, Live},
};
use crate::chaos;

/// Channels, which is also the number of messages in flight.
const CHANNELS: usize = 32;
/// AMQP's code for a message that is to survive a restart of the broker (section 4.8.1 of the specification).
const PERSISTENT: u8 = 2;

/// A channel in confirm mode without a message in flight.
struct Idle {
    generation: u64,
    channel: Channel,
}

/// Publishes over one link.
pub(super) struct Publisher {
    link: Link,
    idle: Mutex<Vec<Idle>>,
    permits: Semaphore,
}

impl Publisher {
    /// Publishes over this link.
    pub(super) fn over(link: Link) -> Self {
        Self { link, idle: Mutex::default(), permits: Semaphore::new(CHANNELS) }
    }

    /// Publishes messages; the answer at an index belongs to the message at that index.
    pub(super) async fn publish(&self, batch: &[Dispatch]) -> Vec<Result<(), BrokerError>> {
        let stalled = AtomicBool::new(false);
        let publishing: Vec<_> = batch.iter().map(|dispatch| self.publish_unless(&stalled, dispatch)).collect();
        futures_util::stream::iter(publishing).buffered(CHANNELS).collect().await
    }

    async fn publish_unless(&self, stalled: &AtomicBool, dispatch: &Dispatch) -> Result<(), BrokerError> {
        if stalled.load(Ordering::Relaxed) {
            return Err(BrokerError::Timeout);
        }
        let outcome = match (dispatch.queue, serde_json::to_vec(dispatch)) {
            (Some(queue), Ok(body)) => self.send(queue.as_str(), &body, properties(dispatch)).await,
            (None, _) => Err(BrokerError::Unroutable),
            (_, Err(_)) => Err(BrokerError::Refused),
        };
        if matches!(outcome, Err(BrokerError::Timeout)) {
            stalled.store(true, Ordering::Relaxed);
        }
        outcome
    }

    /// Publishes one message and waits until RabbitMQ has answered for it.
    pub(super) async fn send(&self, key: &str, body: &[u8], properties: BasicProperties) -> Result<(), BrokerError> {
        let live = self.link.live()?;
        if live.connection.status().blocked() {
            return Err(BrokerError::Timeout);
        }
        let sent = tokio::select! {
            sent = timeout(self.link.limit(), self.send_over(&live, key, body, properties)) => {
                sent.unwrap_or(Err(BrokerError::Timeout))
            }
            () = self.link.lost(live.generation) => {
                Err(BrokerError::Unreachable("the connection broke before the message was confirmed".to_owned()))
            }
        };
        if matches!(sent, Err(BrokerError::Unroutable)) {
            self.link.redeclare();
        }
        sent
    }

    async fn send_over(
        &self,
        live: &Live,
        key: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), BrokerError> {
        // The semaphore is never closed; without a permit there would merely be one channel more.
        let _permit = self.permits.acquire().await.ok();
        let channel = self.channel(live).await?;
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let key = ShortString::try_new(key).map_err(|_| BrokerError::Unroutable)?;
        let published = channel.basic_publish(self.link.topology().jobs(), key, options, body, properties).await;
        let published = published.map_err(|error| failure::of_use(&error))?;
        chaos::point("relay.after_publish_before_confirm");
        let confirm = published.await;
        let outcome = match confirm.map_err(|error| failure::of_use(&error))? {
            Confirmation::Ack(None) => Ok(()),
            // RabbitMQ acknowledges a message that it returns.
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Err(BrokerError::Unroutable),
            Confirmation::Nack(None) => Err(BrokerError::Refused),
            Confirmation::NotRequested => {
                return Err(BrokerError::Unreachable("the channel is not in confirm mode".to_owned()));
            }
        };
        self.idle_channels(|idle| idle.push(Idle { generation: live.generation, channel }));
        outcome
    }

    async fn channel(&self, live: &Live) -> Result<Channel, BrokerError> {
        let reused = self.idle_channels(|idle| {
            idle.retain(|idle| idle.generation == live.generation && idle.channel.status().connected());
            idle.pop()
        });
        if let Some(Idle { channel, .. }) = reused {
            return Ok(channel);
        }
        let channel = live.connection.create_channel().await.map_err(|error| failure::of_use(&error))?;
        let confirming = channel.confirm_select(ConfirmSelectOptions::default()).await;
        confirming.map(|()| channel).map_err(|error| failure::of_use(&error))
    }

    fn idle_channels<T>(&self, change: impl FnOnce(&mut Vec<Idle>) -> T) -> T {
        change(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a message could be published now.
    pub(super) async fn check(&self) -> Result<(), BrokerError> {
        let live = self.link.live()?;
        if live.connection.status().blocked() {
            return Err(BrokerError::Timeout);
        }
        let probed = timeout(self.link.limit(), self.link.topology().probe(&live.connection)).await;
        let probed = probed.unwrap_or(Err(BrokerError::Timeout));
        if matches!(probed, Err(BrokerError::Unroutable)) {
            self.link.redeclare();
        }
        probed
    }

    /// Closes the connection.
    pub(super) async fn close(&self) {
        self.idle_channels(Vec::clear);
        self.link.close().await;
    }
}

/// What RabbitMQ and its tools show of a message.
fn properties(dispatch: &Dispatch) -> BasicProperties {
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_app_id("gatepost".into())
        .with_message_id(dispatch.job_id.to_string().into());
    if let Ok(name) = ShortString::try_new(dispatch.name.as_str()) {
        properties = properties.with_type(name);
    }
    let mut headers = FieldTable::default();
    if let Some(traceparent) = &dispatch.traceparent {
        headers.insert("traceparent".into(), AMQPValue::LongString(traceparent.as_str().into()));
    }
    properties.with_headers(headers)
}
