//! Holding the last commit of a task back, so that something can join its transaction after the fact.
//!
//! ```text
//! Deferral::scope ── the work inside begins, writes, "commits" ── the transaction waits here
//!        └── take ──► the caller adds its rows and commits in truth
//! ```
//!
//! A second transaction of the same work commits the first one in truth before it begins: only the last one waits. What
//! the work reads after its last commit must come from that transaction.

use std::sync::{Arc, Mutex, PoisonError};

use super::Tx;

tokio::task_local! {
    static HELD: Arc<Deferral>;
}

/// A place for the transaction that waits.
#[derive(Debug, Default)]
pub struct Deferral(Mutex<Option<Tx>>);

impl Deferral {
    /// Runs `work` with its last commit held back.
    pub async fn scope<F: Future>(self: &Arc<Self>, work: F) -> F::Output {
        HELD.scope(Arc::clone(self), work).await
    }

    /// The transaction that waits.
    #[must_use]
    pub fn take(&self) -> Option<Tx> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// That of the present task.
    pub(super) fn current() -> Option<Arc<Self>> {
        HELD.try_with(Arc::clone).ok()
    }

    pub(super) fn hold(&self, tx: Tx) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tx);
    }
}
