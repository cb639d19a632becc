//! What every handler can reach.

use std::{ops::Deref, sync::Arc};

use shared::{
    api_keys::KeyCache,
    capture::Capture,
    kernel::Kernel,
    lifecycle::{CancellationToken, Readiness},
    password::HashPool,
    secret_keys::SecretKeyCache,
    sessions::SessionCache,
    social::Providers,
};

/// Keys that were looked up lately.
#[derive(Default)]
pub struct Keys {
    /// Those of users.
    pub personal: KeyCache,
    /// Those of projects.
    pub secret: SecretKeyCache,
}

/// What a gateway consists of.
pub struct AppParts {
    /// Database, clock, keys and configuration.
    pub kernel: Arc<Kernel>,
    /// The threads that hash passwords.
    pub hasher: Arc<HashPool>,
    /// Sessions that were looked up lately.
    pub sessions: SessionCache,
    /// Keys that were looked up lately.
    pub keys: Keys,
    /// The providers that users sign in with.
    pub providers: Providers,
    /// Where events of analytics clients are handed in; what takes them has to run.
    pub capture: Arc<Capture>,
    /// Whether the components of this process are ready.
    pub readiness: Readiness,
    /// Cancelled when this process is about to stop and should get no further requests.
    pub draining: CancellationToken,
}

/// What every handler can reach. Each request has a clone of it, which costs one counter.
#[derive(Clone)]
pub struct AppState(Arc<AppParts>);

impl From<AppParts> for AppState {
    fn from(parts: AppParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for AppState {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}
