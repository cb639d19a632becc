//! Where a consumer's task puts messages and its owner takes them from.
//!
//! ```text
//! session ── put ──► waiting ── take ──► Delivery ── ack | requeue
//!    │ lost: waiting ones are forgotten, RabbitMQ delivers them again
//!    └ closed: waiting ones are given back, taken ones can still be answered
//! ```
//!
//! Taking never loses a message: between removing it from the list and returning it there is no await. A delivery keeps
//! its channel open, because RabbitMQ accepts an answer only on the channel that the message came by.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use lapin::{
    Acker, Channel,
    options::{BasicAckOptions, BasicNackOptions},
};
use tokio::{sync::Notify, time::timeout};

use super::{
    super::{BrokerError, Delivery, Dispatch},
    link::Live,
};

/// A message from RabbitMQ.
pub(super) struct RabbitDelivery {
    /// What it says, unless it is poison.
    pub(super) dispatch: Option<Dispatch>,
    /// Answers it.
    pub(super) acker: Acker,
    /// Keeps the channel open until the answer.
    pub(super) channel: Arc<Channel>,
    /// Time limit of the answer.
    pub(super) limit: Duration,
}

impl RabbitDelivery {
    fn note(answer: &str, outcome: Result<lapin::Result<bool>, tokio::time::error::Elapsed>) {
        let reason = match outcome {
            Ok(Ok(true)) => return,
            Ok(Ok(false)) => "its channel is gone".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "RabbitMQ did not take it in time".to_owned(),
        };
        tracing::debug!(answer, reason, "the answer to a message was lost; it will be delivered again");
    }
}

#[async_trait]
impl Delivery for RabbitDelivery {
    fn dispatch(&self) -> Option<&Dispatch> {
        self.dispatch.as_ref()
    }

    async fn ack(self: Box<Self>) {
        Self::note("ack", timeout(self.limit, self.acker.ack(BasicAckOptions::default())).await);
        drop(self.channel);
    }

    async fn requeue(self: Box<Self>) {
        let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        Self::note("requeue", timeout(self.limit, self.acker.nack(options)).await);
        drop(self.channel);
    }
}

struct Contents {
    waiting: VecDeque<RabbitDelivery>,
    session: Result<(Arc<Channel>, Live), BrokerError>,
    closed: bool,
}

/// Messages that were received and not yet taken, and whether more can come.
pub(super) struct Inbox {
    contents: Mutex<Contents>,
    changed: Notify,
}

impl Default for Inbox {
    fn default() -> Self {
        let session = Err(BrokerError::Unreachable("connecting".to_owned()));
        let contents = Contents { waiting: VecDeque::new(), session, closed: false };
        Self { contents: Mutex::new(contents), changed: Notify::new() }
    }
}

impl Inbox {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The consumer is registered on this channel.
    pub(super) fn registered(&self, channel: Arc<Channel>, live: Live) {
        self.contents().session = Ok((channel, live));
    }

    /// The consumer is not registered. What waits can no longer be answered, so it is forgotten.
    pub(super) fn lost(&self, reason: BrokerError) {
        let mut contents = self.contents();
        contents.session = Err(reason);
        let stale = std::mem::take(&mut contents.waiting);
        drop(contents);
        drop(stale);
    }

    /// Adds a message.
    pub(super) fn put(&self, delivery: RabbitDelivery) {
        self.contents().waiting.push_back(delivery);
        self.changed.notify_one();
    }

    /// Takes the next message; `None` once closed. May be cancelled at any time without losing one.
    pub(super) async fn take(&self) -> Option<RabbitDelivery> {
        loop {
            {
                let mut contents = self.contents();
                if contents.closed {
                    return None;
                }
                while let Some(delivery) = contents.waiting.pop_front() {
                    // The channel may have died since; then RabbitMQ delivers the message again.
                    if delivery.acker.usable() {
                        return Some(delivery);
                    }
                }
            }
            self.changed.notified().await;
        }
    }

    /// Gives no message to anyone any more, and returns those that waited.
    pub(super) fn close(&self) -> VecDeque<RabbitDelivery> {
        let mut contents = self.contents();
        contents.closed = true;
        contents.session = Err(BrokerError::Unreachable("closed".to_owned()));
        let waiting = std::mem::take(&mut contents.waiting);
        drop(contents);
        self.changed.notify_one();
        waiting
    }

    /// Whether RabbitMQ knows the consumer at this moment.
    pub(super) fn is_registered(&self) -> Result<(), String> {
        match &self.contents().session {
            Ok((channel, live)) if channel.status().connected() && live.connection.status().connected() => Ok(()),
            Ok(_) => Err("the connection broke".to_owned()),
            Err(reason) => Err(reason.to_string()),
        }
    }

    /// The reason when RabbitMQ's objects do not match.
    pub(super) fn mismatch(&self) -> Option<String> {
        match &self.contents().session {
            Err(BrokerError::Topology(reason)) => Some(reason.clone()),
            Ok(_) | Err(_) => None,
        }
    }
}
