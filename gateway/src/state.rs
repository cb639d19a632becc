//! What every handler can reach.

use std::sync::Arc;

use shared::{
    kernel::Kernel,
    lifecycle::{CancellationToken, Readiness},
    password::HashPool,
    sessions::SessionCache,
};

/// What every handler can reach; cloning it is cheap.
#[derive(Clone)]
pub struct AppState {
    /// Database, clock, keys and configuration.
    pub kernel: Arc<Kernel>,
    /// The threads that hash passwords.
    pub hasher: Arc<HashPool>,
    /// Sessions that were looked up lately.
    pub sessions: Arc<SessionCache>,
    /// Whether the components of this process are ready.
    pub readiness: Readiness,
    /// Cancelled when this process is about to stop and should get no further requests.
    pub draining: CancellationToken,
}
