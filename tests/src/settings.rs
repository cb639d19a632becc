//! What a test wants to be different.

use shared::{config::Config, rate_limit::Limit};

/// Configuration of a [`crate::TestApp`].
pub struct Settings {
    /// Changes to the defaults of tests.
    pub change: Box<dyn FnOnce(&mut Config) + Send>,
}

impl Settings {
    /// The defaults of tests, changed.
    pub fn with(change: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        Self { change: Box::new(change) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::with(|_| {})
    }
}

/// A limit that no test reaches.
pub const UNLIMITED: Limit = Limit { count: 0, per_seconds: 1 };
