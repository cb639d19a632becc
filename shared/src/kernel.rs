//! What every use case needs, in one place: the database, the clock, the keys and the configuration.

use std::sync::Arc;

use crate::{clock::Clock, config::Config, db::Db, secret::Keyring};

/// What every use case needs.
#[derive(Clone)]
pub struct Kernel {
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The installation's keys.
    pub keys: Keyring,
    /// The configuration.
    pub config: Arc<Config>,
}
