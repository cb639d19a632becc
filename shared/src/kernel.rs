//! What every use case needs, in one place: the database, the clock, the keys and the configuration.

use std::{sync::Arc, time::Duration};

use sea_orm::DbErr;

use crate::{
    clock::{Clock, DatabaseClock, SystemClock},
    config::Config,
    db::Db,
    lifecycle::CancellationToken,
    secret::{Keyring, KeyringError},
};

/// How often the difference to the database's clock is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

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

/// Why a process could not begin.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The keys are not usable.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The database does not answer.
    #[error("cannot reach the database: {0}")]
    Database(#[from] DbErr),
}

impl Kernel {
    /// Connects to the database that the configuration names. On PostgreSQL time is the database's, and
    /// [`follow_database`] keeps it so.
    ///
    /// # Errors
    /// When the keys are not usable or the database does not answer.
    pub async fn connect(config: Config) -> Result<(Self, Option<Arc<DatabaseClock>>), KernelError> {
        let keys = Keyring::parse(config.secrets.keys.expose())?;
        let db = Db::connect(&config.database).await?;
        let follower = if db.is_postgres() {
            let clock = Arc::new(DatabaseClock::default());
            clock.adjust(db.now().await?);
            Some(clock)
        } else {
            None
        };
        let clock: Arc<dyn Clock> = match &follower {
            Some(clock) => Arc::<DatabaseClock>::clone(clock),
            None => Arc::new(SystemClock),
        };
        Ok((Self { db, clock, keys, config: Arc::new(config) }, follower))
    }
}

/// Keeps `clock` at the database's time until `stopping` is cancelled. While the database does not answer, the last
/// measured difference holds.
pub async fn follow_database(db: Db, clock: Arc<DatabaseClock>, stopping: CancellationToken) {
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(MEASURE_EVERY) => {}
        }
        match db.now().await {
            Ok(now) => clock.adjust(now),
            Err(error) => tracing::debug!(%error, "the database's clock could not be read"),
        }
    }
}
