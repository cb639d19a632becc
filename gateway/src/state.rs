//! What every handler can reach.

use std::sync::Arc;

use shared::{
    api_keys::KeyCache,
    capture::Capture,
    kernel::Kernel,
    lifecycle::{CancellationToken, Readiness},
    password::HashPool,
    secret_keys::SecretKeyCache,
    sessions::SessionCache,
};

/// Keys that were looked up lately.
#[derive(Default)]
pub struct Keys {
    /// Those of users.
    pub personal: KeyCache,
    /// Those of projects.
    pub secret: SecretKeyCache,
}

/// What every handler can reach; cloning it is cheap.
#[derive(Clone)]
pub struct AppState {
    /// Database, clock, keys and configuration.
    pub kernel: Arc<Kernel>,
    /// The threads that hash passwords.
    pub hasher: Arc<HashPool>,
    /// Sessions that were looked up lately.
    pub sessions: Arc<SessionCache>,
    /// Keys that were looked up lately.
    pub keys: Arc<Keys>,
    /// Where events of analytics clients are handed in; what takes them has to run.
    pub capture: Arc<Capture>,
    /// Whether the components of this process are ready.
    pub readiness: Readiness,
    /// Cancelled when this process is about to stop and should get no further requests.
    pub draining: CancellationToken,
}
