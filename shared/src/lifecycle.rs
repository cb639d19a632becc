//! The life of a process: its components, whether they are ready, and how they stop.
//!
//! ```text
//! spawn(name, task)  ──►  running  ──stop()──►  each task sees `stopping`, finishes what it holds, returns
//!                            │                  after the grace period the rest is aborted; the database reclaims it
//!                            └─ returns or panics on its own ──► the process stops: a supervisor restarts it whole
//! ```
//!
//! Readiness is a list of named components. A component that has never reported is not ready. A gateway without a broker
//! still signs people in: what a process can do without is told as `degraded` and does not make it red.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use serde::Serialize;
use tokio::task::JoinSet;
pub use tokio_util::sync::CancellationToken;

/// State of the named components of a process.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    components: Arc<RwLock<BTreeMap<String, Component>>>,
}

#[derive(Clone, Debug)]
struct Component {
    state: Result<(), String>,
    is_optional: bool,
}

/// What a process tells about itself, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// `ready` or `not_ready`.
    pub status: &'static str,
    /// Each component by name.
    pub components: BTreeMap<String, ComponentHealth>,
}

/// What is told of one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentHealth {
    /// `ready`, `not_ready`, or `degraded`: not ready, and the process can do without.
    pub status: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Readiness {
    /// Announces a component, not ready until it reports.
    pub fn expect(&self, component: &str) {
        self.insert(component, Component { state: Err("starting".to_owned()), is_optional: false });
    }

    /// Announces a component that the process can do without for a while: its state is told and decides nothing.
    pub fn expect_optional(&self, component: &str) {
        self.insert(component, Component { state: Err("starting".to_owned()), is_optional: true });
    }

    /// Reports a component as ready, or why it is not.
    pub fn set(&self, component: &str, state: Result<(), String>) {
        let before = self.read().get(component).cloned();
        if before.as_ref().map(|before| before.state.is_ok()) != Some(state.is_ok()) {
            match &state {
                Ok(()) => tracing::info!(component, "component is ready"),
                Err(reason) => tracing::warn!(component, reason, "component is not ready"),
            }
        }
        let is_optional = before.is_some_and(|before| before.is_optional);
        self.insert(component, Component { state, is_optional });
    }

    fn insert(&self, component: &str, state: Component) {
        self.components.write().unwrap_or_else(PoisonError::into_inner).insert(component.to_owned(), state);
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Component>> {
        self.components.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// All components with their state.
    #[must_use]
    pub fn components(&self) -> BTreeMap<String, Result<(), String>> {
        self.read().iter().map(|(name, component)| (name.clone(), component.state.clone())).collect()
    }

    /// Whether every component is ready that the process cannot do without.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.read().values().all(|component| component.is_optional || component.state.is_ok())
    }

    /// What to tell, with components that were looked at just now.
    #[must_use]
    pub fn health(&self, looked_at: &[(&str, Result<(), String>)]) -> Health {
        let mut components = self.read().clone();
        for (name, state) in looked_at {
            components.insert((*name).to_owned(), Component { state: state.clone(), is_optional: false });
        }
        let is_ready = components.values().all(|component| component.is_optional || component.state.is_ok());
        let tell = |component: Component| {
            let status = match (&component.state, component.is_optional) {
                (Ok(()), _) => "ready",
                (Err(_), true) => "degraded",
                (Err(_), false) => "not_ready",
            };
            ComponentHealth { status, reason: component.state.err() }
        };
        Health {
            status: if is_ready { "ready" } else { "not_ready" },
            components: components.into_iter().map(|(name, component)| (name, tell(component))).collect(),
        }
    }
}

impl Health {
    /// Status and body of the answer that tells it: 200, or 503 while not ready.
    #[must_use]
    pub fn to_answer(&self) -> (u16, String) {
        let status = if self.status == "ready" { 200 } else { 503 };
        (status, serde_json::to_string(self).unwrap_or_default())
    }
}

/// The tasks of a process.
#[derive(Debug, Default)]
pub struct Lifecycle {
    stopping: CancellationToken,
    tasks: JoinSet<&'static str>,
    /// Readiness of the process.
    pub readiness: Readiness,
}

impl Lifecycle {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the process is to stop.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Starts a component. It must return soon after `stopping` is cancelled, and not before.
    pub fn spawn<F>(&mut self, name: &'static str, component: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(async move {
            component.await;
            name
        });
    }

    /// Waits until `signal` resolves or a component ends by itself, then stops the rest within `grace`.
    /// Returns false when a component ended by itself.
    pub async fn run_until<S: Future<Output = ()> + Send>(mut self, signal: S, grace: Duration) -> bool {
        let ended = tokio::select! {
            () = signal => None,
            Some(ended) = self.tasks.join_next() => Some(ended.map_or_else(|panic| panic.to_string(), str::to_owned)),
        };
        if let Some(component) = &ended {
            tracing::error!(component, "a component ended by itself; stopping the process");
        }
        self.stop(grace).await;
        ended.is_none()
    }

    /// Stops all components; those that are not done within `grace` are aborted.
    pub async fn stop(mut self, grace: Duration) {
        self.stopping.cancel();
        let drained = tokio::time::timeout(grace, async { while self.tasks.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!(left = self.tasks.len(), "grace period is over; aborting what still runs");
            self.tasks.shutdown().await;
        }
    }
}

/// Resolves at SIGTERM or SIGINT, also at one that came between this call and the first look at the future. Called before
/// components start, it lets a process stop in order that is told to while they do.
pub fn terminated() -> impl Future<Output = ()> + Send {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut term), Ok(mut interrupt)) = signals else {
            tracing::error!("cannot listen for signals; this process stops only by SIGKILL");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_without_what_it_can_do_without() {
        let readiness = Readiness::default();
        readiness.expect_optional("relay");
        readiness.expect("worker.mail");
        assert!(!readiness.is_ready());
        readiness.set("worker.mail", Ok(()));
        readiness.set("relay", Err("the broker is away".to_owned()));
        assert!(readiness.is_ready());
        let (status, body) = readiness.health(&[]).to_answer();
        assert_eq!(status, 200);
        assert!(body.contains(r#""relay":{"status":"degraded","reason":"the broker is away"}"#), "{body}");
        assert_eq!(readiness.health(&[("database", Err("away".to_owned()))]).to_answer().0, 503);
    }
}
