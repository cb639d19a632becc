//! One supervised connection: opened, declared on, watched, and opened again for as long as it is wanted.
//!
//! ```text
//!             ┌──────────────── back-off ≤ 5 s, jittered ◄───────────────┐
//!             ▼                                                          │
//! Starting → dial → declare topology ──► Up(generation) ── lost ──► Down(reason)
//!                        └── 406 ──► Mismatch(reason) ── back-off ──► dial …          close() → Closed
//! ```
//!
//! lapin's own recovery is not used: after a channel error it leaves callers waiting for a recovery that never comes.
//! Here a connection is never repaired, only replaced; whatever was open on it belongs to its generation and is thrown
//! away. Nobody waits for a connection longer than they ask for: [`Link::live`] answers at once.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use lapin::{Connection, Event, uri::AMQPUri};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    super::BrokerError,
    dial::{Cut, dial},
    task::OwnedTask,
    topology::Topology,
};
use crate::jobs::Retry;

/// Waits between attempts.
pub(super) const BACKOFF: Retry =
    Retry { attempts: u16::MAX, base: Duration::from_millis(200), cap: Duration::from_secs(5) };
/// A connection that lived this long was a good one: the next attempt follows quickly.
pub(super) const STABLE: Duration = Duration::from_secs(10);
/// Pause before anything is declared again. A quorum queue that is back within some 30 ms of its deletion keeps
/// RabbitMQ (seen with 3.10) from telling its consumers that they are consumers no more.
pub(super) const SETTLE: Duration = Duration::from_millis(500);
/// How often a connection is looked at in case lapin reported nothing.
const LOOK: Duration = Duration::from_secs(1);

/// A connection that is up.
#[derive(Clone)]
pub(super) struct Live {
    /// Counts the connections of this link.
    pub(super) generation: u64,
    /// The connection.
    pub(super) connection: Arc<Connection>,
    cut: Cut,
}

#[derive(Clone)]
enum State {
    Starting,
    Up(Live),
    Down(String),
    Mismatch(String),
    Closed,
}

/// What a link needs to know.
#[derive(Clone)]
pub(super) struct Plan {
    /// Where RabbitMQ is.
    pub(super) uri: AMQPUri,
    /// Time limit of every operation.
    pub(super) limit: Duration,
    /// What is declared.
    pub(super) topology: Topology,
}

struct Shared {
    name: &'static str,
    plan: Plan,
    state: watch::Sender<State>,
    redeclare: Notify,
}

/// A supervised connection.
#[derive(Clone)]
pub(super) struct Link {
    shared: Arc<Shared>,
    _supervisor: Arc<OwnedTask>,
}

impl Link {
    /// Starts connecting in the background.
    pub(super) fn start(name: &'static str, plan: Plan) -> Self {
        let shared =
            Arc::new(Shared { name, plan, state: watch::Sender::new(State::Starting), redeclare: Notify::new() });
        let supervisor = OwnedTask::start(supervise(Arc::clone(&shared)));
        Self { shared, _supervisor: Arc::new(supervisor) }
    }

    /// Time limit of every operation.
    pub(super) fn limit(&self) -> Duration {
        self.shared.plan.limit
    }

    /// The objects at the broker.
    pub(super) fn topology(&self) -> &Topology {
        &self.shared.plan.topology
    }

    /// The connection, if there is one now.
    pub(super) fn live(&self) -> Result<Live, BrokerError> {
        match &*self.shared.state.borrow() {
            State::Up(live) if live.connection.status().connected() => Ok(live.clone()),
            State::Up(_) => Err(BrokerError::Unreachable("the connection broke".to_owned())),
            State::Starting => Err(BrokerError::Unreachable("connecting".to_owned())),
            State::Down(reason) => Err(BrokerError::Unreachable(reason.clone())),
            State::Mismatch(reason) => Err(BrokerError::Topology(reason.clone())),
            State::Closed => Err(BrokerError::Unreachable("closed".to_owned())),
        }
    }

    /// Waits until the first attempt to connect has an outcome, at most for the time limit.
    pub(super) async fn settled(&self) -> Result<Live, BrokerError> {
        let mut state = self.shared.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Starting));
        // Late or not, the state tells what there is.
        drop(timeout(self.limit(), settled).await);
        self.live()
    }

    /// Waits for a connection; `None` once the link is closed.
    pub(super) async fn up(&self) -> Option<Live> {
        let mut state = self.shared.state.subscribe();
        let found = state.wait_for(|state| matches!(state, State::Up(_) | State::Closed)).await.ok()?;
        if let State::Up(live) = &*found { Some(live.clone()) } else { None }
    }

    /// Resolves when the connection of that generation is no longer the one in use.
    pub(super) async fn lost(&self, generation: u64) {
        let mut state = self.shared.state.subscribe();
        let same = |state: &State| matches!(state, State::Up(live) if live.generation == generation);
        // The sender lives in `self`, so this cannot fail.
        drop(state.wait_for(|state| !same(state)).await);
    }

    /// Asks for the topology to be declared again, because a part of it turned out to be missing.
    pub(super) fn redeclare(&self) {
        self.shared.redeclare.notify_one();
    }

    /// Closes the connection in an orderly way and opens no more.
    pub(super) async fn close(&self) {
        let before = self.shared.state.send_replace(State::Closed);
        if let State::Up(live) = before {
            let closing = live.connection.close(200, "closed".into());
            if !matches!(timeout(self.limit(), closing).await, Ok(Ok(()))) {
                live.cut.now();
            }
        }
    }
}

impl Shared {
    /// Changes the state unless the link was closed meanwhile; says whether it was changed.
    fn set(&self, next: State) -> bool {
        self.state.send_if_modified(|state| {
            let open = !matches!(state, State::Closed);
            if open {
                *state = next;
            }
            open
        })
    }

    /// Notes why there is no connection. A reason is logged when it changes, not at every attempt, and not at the end, when
    /// no connection is wanted.
    fn down(&self, error: BrokerError) -> bool {
        let next = match error {
            BrokerError::Topology(reason) => State::Mismatch(reason),
            BrokerError::Unreachable(reason) => State::Down(reason),
            BrokerError::Timeout | BrokerError::Unroutable | BrokerError::Refused => State::Down(error.to_string()),
        };
        let is_news = match (&*self.state.borrow(), &next) {
            (State::Down(before), State::Down(now)) | (State::Mismatch(before), State::Mismatch(now)) => before != now,
            (State::Closed, _) => false,
            _ => true,
        };
        if let (State::Down(reason) | State::Mismatch(reason), true) = (&next, is_news) {
            tracing::warn!(connection = self.name, reason, "no connection to RabbitMQ; trying again");
        }
        self.set(next)
    }

    async fn open(&self) -> Result<(Connection, Cut), BrokerError> {
        let (connection, cut) = dial(&self.plan.uri, self.name, self.plan.limit).await?;
        let declared = self.declare(&connection).await;
        if declared.is_err() {
            cut.now();
        }
        declared.map(|()| (connection, cut))
    }

    async fn declare(&self, connection: &Connection) -> Result<(), BrokerError> {
        let declaring = self.plan.topology.declare(connection);
        timeout(self.plan.limit, declaring).await.unwrap_or(Err(BrokerError::Timeout))
    }

    /// Watches a connection until it is of no more use, and says why.
    async fn watch_over(&self, live: &Live) -> BrokerError {
        let mut events = pin!(live.connection.events_listener());
        let mut reason = None;
        while live.connection.status().connected() {
            tokio::select! {
                Some(event) = events.next() => reason = self.heard(event).or(reason),
                () = self.redeclare.notified() => {
                    if let Err(mismatch) = self.declare_again(live).await {
                        return mismatch;
                    }
                }
                () = sleep(LOOK) => {}
            }
        }
        BrokerError::Unreachable(reason.unwrap_or_else(|| "the connection broke".to_owned()))
    }

    /// What an event says about the end of the connection, if it does.
    fn heard(&self, event: Event) -> Option<String> {
        match event {
            Event::Error(error) => return Some(error.to_string()),
            Event::ConnectionBlocked(alarm) => {
                tracing::warn!(connection = self.name, alarm, "RabbitMQ takes no messages");
            }
            Event::ConnectionUnblocked => tracing::info!(connection = self.name, "RabbitMQ takes messages again"),
            Event::Connected | Event::SendFlow(_) | _ => {}
        }
        None
    }

    /// Declares what may be missing. Only a mismatch is an error; anything else shows again at the next message.
    async fn declare_again(&self, live: &Live) -> Result<(), BrokerError> {
        sleep(SETTLE).await;
        match self.declare(&live.connection).await {
            Ok(()) => tracing::warn!(connection = self.name, "an object was missing; declared all again"),
            Err(mismatch @ BrokerError::Topology(_)) => return Err(mismatch),
            Err(error) => tracing::warn!(connection = self.name, %error, "could not declare the topology"),
        }
        Ok(())
    }
}

async fn supervise(shared: Arc<Shared>) {
    let mut generation = 0;
    let mut failures = 0_u16;
    while !matches!(*shared.state.borrow(), State::Closed) {
        let started = Instant::now();
        let error = match shared.open().await {
            Err(error) => error,
            Ok((connection, cut)) => {
                generation += 1;
                let live = Live { generation, connection: Arc::new(connection), cut };
                if !shared.set(State::Up(live.clone())) {
                    return;
                }
                tracing::info!(connection = shared.name, generation, "connected to RabbitMQ");
                let error = shared.watch_over(&live).await;
                live.cut.now();
                error
            }
        };
        if !shared.down(error) {
            return;
        }
        failures = if started.elapsed() > STABLE { 1 } else { failures.saturating_add(1) };
        sleep(BACKOFF.delay(failures)).await;
    }
}
