//! The life of a process: its components, whether they are ready, and how they stop.
//!
//! ```text
//! spawn(name, task)  ──►  running  ──stop()──►  each task sees `stopping`, finishes what it holds, returns
//!                            │                  after the grace period the rest is aborted; the database reclaims it
//!                            └─ returns or panics on its own ──► the process stops: a supervisor restarts it whole
//! ```
//!
//! Readiness is a list of named components. A component that has never reported is not ready.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use tokio::task::JoinSet;
pub use tokio_util::sync::CancellationToken;

/// State of the named components of a process.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    components: Arc<std::sync::RwLock<BTreeMap<String, Result<(), String>>>>,
}

impl Readiness {
    /// Announces a component, not ready until it reports.
    pub fn expect(&self, component: &str) {
        self.set(component, Err("starting".to_owned()));
    }

    /// Reports a component as ready, or why it is not.
    #[expect(clippy::needless_pass_by_value, reason = "callers build the reason where they report it")]
    pub fn set(&self, component: &str, state: Result<(), String>) {
        let mut components = self.components.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = components.insert(component.to_owned(), state.clone());
        if before.as_ref().map(Result::is_ok) != Some(state.is_ok()) {
            match &state {
                Ok(()) => tracing::info!(component, "component is ready"),
                Err(reason) => tracing::warn!(component, reason, "component is not ready"),
            }
        }
    }

    /// All components with their state.
    #[must_use]
    pub fn components(&self) -> BTreeMap<String, Result<(), String>> {
        self.components.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Whether every component is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.components().values().all(Result::is_ok)
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

/// Resolves at SIGTERM or SIGINT.
pub async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("cannot listen for signals; this process stops only by SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}
