//! Consuming: a task per consumer that registers it, receives, and registers it again whenever that ends.
//!
//! ```text
//! wait for the link ── channel ── qos(prefetch) ── consume ──► inbox.put ◄── receive
//!        ▲                                                        │
//!        └─ back-off, declare the topology again ◄── channel or connection lost, cancelled by RabbitMQ
//!
//! close(): basic.cancel ── what nobody took is given back ── taken messages can still be answered
//! ```
//!
//! RabbitMQ may forget a consumer without a word: when a quorum queue is deleted and declared again at once, 3.10
//! goes on counting its consumers and assigning messages to them, and delivers none. Nothing that can be asked tells
//! such a consumer from an idle one, so an idle one is registered anew on another channel every 20 s; closing the old
//! channel gives back what was stuck on it.
//!
//! A quorum queue may also come back from a killed node without a leader (seen with 3.10, for the queue declared last
//! before the kill): declaring it succeeds, consuming from it is never answered, and no restart of a client helps. After
//! a few unanswered registrations in a row the queue is deleted and declared anew. That loses no job: messages are only
//! references to rows, and what was on the queue is dispatched again.
//!
//! It comes back after a broker restart, a closed connection, a channel error (RabbitMQ closes the channel of a
//! consumer that leaves a message unanswered for 30 minutes), a deleted queue and a recreated virtual host. Prefetch
//! is set before consuming, because lapin buffers deliveries without a bound. Dropping the consumer ends its task and
//! its channel; RabbitMQ then delivers unanswered messages to others.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use lapin::{
    Channel,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeleteOptions},
    types::{FieldTable, ShortString},
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    super::{BrokerError, Consumer, Delivery, Dispatch},
    failure,
    inbox::{Inbox, RabbitDelivery},
    link::{BACKOFF, Link, Live, SETTLE, STABLE},
    task::OwnedTask,
};

/// How often a channel is looked at in case lapin reported nothing.
const LOOK: Duration = Duration::from_secs(1);
/// A consumer that received nothing for this long, and holds nothing, is registered anew.
const IDLE: Duration = Duration::from_secs(20);
/// Registrations in a row that a queue may leave unanswered before it is taken for one without a leader.
const UNANSWERED: u16 = 3;
/// How long RabbitMQ may take to delete such a queue; it first looks for the leader for 5 s.
const DELETING: Duration = Duration::from_secs(30);

/// A consumer of one queue.
pub(super) struct RabbitConsumer {
    pub(super) inbox: Arc<Inbox>,
    closing: CancellationToken,
    ended: CancellationToken,
    limit: Duration,
    _receiving: OwnedTask,
}

impl RabbitConsumer {
    /// Starts consuming in the background.
    pub(super) fn start(link: Link, queue: ShortString, prefetch: u16) -> Self {
        let inbox = Arc::new(Inbox::default());
        let (closing, ended) = (CancellationToken::new(), CancellationToken::new());
        let limit = link.limit();
        // RabbitMQ reads a prefetch of 0 as "without a bound".
        let prefetch = prefetch.max(1);
        let receiver = Receiver { link, queue, prefetch, inbox: Arc::clone(&inbox), closing: closing.clone() };
        let end = ended.clone().drop_guard();
        let receiving = OwnedTask::start(async move {
            receiver.run().await;
            drop(end);
        });
        Self { inbox, closing, ended, limit, _receiving: receiving }
    }

    /// Waits until the consumer is registered, at most for the time limit.
    ///
    /// # Errors
    /// When RabbitMQ's objects do not match; any other trouble passes by itself.
    pub(super) async fn settled(&self) -> Result<(), BrokerError> {
        let settling = async {
            while self.inbox.is_registered().is_err() && self.inbox.mismatch().is_none() && !self.ended.is_cancelled() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(self.limit, settling).await.is_err() {
            let reason = self.inbox.is_registered().err();
            tracing::warn!(reason, "not consuming yet; trying on in the background");
        }
        self.inbox.mismatch().map_or(Ok(()), |reason| Err(BrokerError::Topology(reason)))
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Option<Box<dyn Delivery>> {
        self.inbox.take().await.map(|delivery| -> Box<dyn Delivery> { Box::new(delivery) })
    }

    fn is_registered(&self) -> Result<(), String> {
        self.inbox.is_registered()
    }

    async fn close(&mut self) {
        self.closing.cancel();
        if timeout(self.limit, self.ended.cancelled()).await.is_err() {
            drop(self.inbox.close());
        }
    }
}

/// A registered consumer.
struct Session {
    live: Live,
    channel: Arc<Channel>,
    stream: lapin::Consumer,
}

impl Session {
    /// Whether a message that came by this channel is not answered yet.
    fn holds_messages(&self) -> bool {
        // The session and the inbox hold the channel themselves.
        Arc::strong_count(&self.channel) > 2
    }
}

/// How a session ended.
enum End {
    /// The consumer was closed.
    Closed,
    /// It was idle.
    Idle,
    /// RabbitMQ answered everything but the registration.
    Unanswered,
    /// It broke.
    Lost(BrokerError),
}

impl End {
    /// What broke, if anything did.
    fn reason(&self) -> Option<&BrokerError> {
        match self {
            Self::Lost(error) => Some(error),
            Self::Unanswered => Some(&BrokerError::Timeout),
            Self::Closed | Self::Idle => None,
        }
    }
}

fn lost(reason: &str) -> End {
    End::Lost(BrokerError::Unreachable(reason.to_owned()))
}

/// The task behind a consumer.
struct Receiver {
    link: Link,
    queue: ShortString,
    prefetch: u16,
    inbox: Arc<Inbox>,
    closing: CancellationToken,
}

impl Receiver {
    async fn run(self) {
        let (mut failures, mut unanswered) = (0_u16, 0_u16);
        while !self.closing.is_cancelled() {
            let started = Instant::now();
            match self.session(failures).await {
                End::Closed => break,
                End::Idle => {
                    (failures, unanswered) = (0, 0);
                    continue;
                }
                End::Lost(error) => {
                    unanswered = 0;
                    self.inbox.lost(error);
                }
                End::Unanswered => {
                    unanswered += 1;
                    self.inbox.lost(BrokerError::Timeout);
                    if unanswered == UNANSWERED {
                        unanswered = 0;
                        self.discard().await;
                    }
                }
            }
            failures = if started.elapsed() > STABLE { 1 } else { failures.saturating_add(1) };
            if !self.pause(failures).await {
                break;
            }
        }
        for delivery in self.inbox.close() {
            Box::new(delivery).requeue().await;
        }
    }

    /// Registers and receives until that ends. What comes of it is logged once, not at every attempt.
    async fn session(&self, failures: u16) -> End {
        let registered = self.register(failures > 0).await;
        let fresh = registered.is_ok() || failures == 0;
        let end = match registered {
            Err(end) => end,
            Ok(session) => {
                self.inbox.registered(Arc::clone(&session.channel), session.live.clone());
                if failures > 0 {
                    tracing::info!(queue = %self.queue, "consuming again");
                }
                self.receive(session).await
            }
        };
        if let (Some(error), true) = (end.reason(), fresh) {
            tracing::warn!(queue = %self.queue, %error, "not consuming; trying again");
        }
        end
    }

    /// Waits before the next attempt: for the link if it is down, else by back-off. False once there is no next
    /// attempt.
    async fn pause(&self, failures: u16) -> bool {
        let waiting = async {
            if self.link.live().is_ok() {
                sleep(BACKOFF.delay(failures).max(SETTLE)).await;
                return true;
            }
            // After a while at the latest the reason is looked up again: it may have changed.
            timeout(LOOK, self.link.up()).await.map_or(true, |up| up.is_some())
        };
        tokio::select! {
            again = waiting => again,
            () = self.closing.cancelled() => false,
        }
    }

    async fn register(&self, declare: bool) -> Result<Session, End> {
        let opening = timeout(self.link.limit(), self.open(declare)).await.unwrap_or(Err(BrokerError::Timeout));
        let (live, channel) = opening.map_err(End::Lost)?;
        let options = BasicConsumeOptions::default();
        let consuming = channel.basic_consume(self.queue.clone(), "".into(), options, FieldTable::default());
        match timeout(self.link.limit(), consuming).await {
            Ok(Ok(stream)) => Ok(Session { live, channel: Arc::new(channel), stream }),
            Ok(Err(error)) => Err(End::Lost(failure::of_use(&error))),
            Err(_) => Err(End::Unanswered),
        }
    }

    /// A channel to consume by, over a topology that is there.
    async fn open(&self, declare: bool) -> Result<(Live, Channel), BrokerError> {
        let live = self.link.settled().await?;
        if declare {
            self.link.topology().declare(&live.connection).await?;
        }
        let channel = live.connection.create_channel().await.map_err(|error| failure::of_use(&error))?;
        let bounded = channel.basic_qos(self.prefetch, BasicQosOptions::default()).await;
        bounded.map_err(|error| failure::of_use(&error))?;
        Ok((live, channel))
    }

    /// Deletes a queue without a leader; the next registration declares it anew.
    async fn discard(&self) {
        tracing::warn!(queue = %self.queue, "the queue has no leader; deleting it and declaring it anew");
        let deleting = async {
            let live = self.link.live()?;
            let channel = live.connection.create_channel().await.map_err(|error| failure::of_use(&error))?;
            let deleted = channel.queue_delete(self.queue.clone(), QueueDeleteOptions::default()).await;
            deleted.map_err(|error| failure::of_use(&error))
        };
        match timeout(DELETING, deleting).await.unwrap_or(Err(BrokerError::Timeout)) {
            Ok(_) => {}
            Err(error) => tracing::warn!(queue = %self.queue, %error, "the queue was not deleted"),
        }
    }

    /// Receives until the session ends. One that is closed or idle is ended in an orderly way.
    async fn receive(&self, mut session: Session) -> End {
        let mut received = Instant::now();
        loop {
            tokio::select! {
                () = self.closing.cancelled() => {
                    self.retire(session).await;
                    return End::Closed;
                }
                next = session.stream.next() => match next {
                    Some(Ok(message)) => {
                        received = Instant::now();
                        self.inbox.put(self.read(message, &session.channel));
                    }
                    Some(Err(error)) => return End::Lost(failure::of_use(&error)),
                    None => return lost("RabbitMQ cancelled the consumer"),
                },
                () = self.link.lost(session.live.generation) => return lost("the connection broke"),
                () = sleep(LOOK) => {
                    if !session.channel.status().connected() {
                        return lost("the channel broke");
                    }
                    if received.elapsed() > IDLE && !session.holds_messages() {
                        self.retire(session).await;
                        return End::Idle;
                    }
                }
            }
        }
    }

    fn read(&self, message: lapin::message::Delivery, channel: &Arc<Channel>) -> RabbitDelivery {
        let mut dispatch = serde_json::from_slice::<Dispatch>(&message.data).ok();
        if let Some(dispatch) = &mut dispatch {
            // A dead letter keeps the routing key that it was published with.
            dispatch.queue = message.routing_key.as_str().parse().ok();
        }
        RabbitDelivery { dispatch, acker: message.acker, channel: Arc::clone(channel), limit: self.link.limit() }
    }

    /// Ends the registration and gives back what was received after the last look. The channel stays open for as long
    /// as someone holds a message that came by it.
    async fn retire(&self, mut session: Session) {
        let tag = session.stream.tag();
        let retiring = async {
            if session.channel.basic_cancel(tag, BasicCancelOptions::default()).await.is_ok() {
                while let Some(Ok(message)) = session.stream.next().await {
                    self.inbox.put(self.read(message, &session.channel));
                }
            }
        };
        if timeout(self.link.limit(), retiring).await.is_err() {
            tracing::warn!(queue = %self.queue, "RabbitMQ did not confirm the end of a consumer in time");
        }
    }
}
