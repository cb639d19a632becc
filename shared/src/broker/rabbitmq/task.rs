//! Background work of this broker: a task that lives exactly as long as the value that owns it.
//!
//! ```text
//! OwnedTask::start(work) ── runs ──► ends by itself | owner dropped → aborted
//! ```
//!
//! A connection supervisor belongs to its connection and a receiving loop to its consumer, not to the process, so they
//! are not components of [`Lifecycle`](crate::lifecycle::Lifecycle): dropping the owner stops them at their next await.

use std::future::Future;

use tokio::task::JoinHandle;

/// A running task; dropping this aborts it.
pub(super) struct OwnedTask(JoinHandle<()>);

impl OwnedTask {
    /// Starts the work on the current runtime.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of this broker that starts tasks; the owner ends them"
    )]
    pub(super) fn start<F: Future<Output = ()> + Send + 'static>(work: F) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for OwnedTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
