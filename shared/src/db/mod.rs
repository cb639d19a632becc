//! The database: connecting, transactions, and reading what an error means.
//!
//! ```text
//! SQLite      write: 1 connection, BEGIN IMMEDIATE      read: up to 8 connections     one file, WAL, synchronous=FULL
//!             effects of jobs side by side share a commit
//! PostgreSQL  write and read: one pool                  statement, lock and idle-in-transaction timeouts
//! ```
//!
//! Every write goes through [`Db::write_tx`]. A plain `BEGIN` that reads before it writes fails at once on SQLite when
//! another writer is active; `BEGIN IMMEDIATE` waits its turn. [`Tx::commit`] wakes the relay when the transaction
//! enqueued jobs, and not before.

mod change;
mod config;
mod deferral;
mod group;
mod numbered;
mod portions;
mod sweep;
mod to_the_end;
mod tx;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use change::ChangeWatch;
pub use change::Mark;
pub use config::DatabaseConfig;
pub use deferral::Deferral;
use group::Group;
pub use numbered::numbered;
pub use portions::portions;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, SqlErr, SqliteTransactionMode,
    SqlxError, Statement, TransactionOptions, TransactionTrait,
    sqlx::{
        ConnectOptions as _, Connection as _, SqliteConnection,
        sqlite::{SqliteJournalMode, SqliteSynchronous},
    },
};
pub use sweep::{purge, sweep};
use to_the_end::to_the_end;
use tokio::sync::Notify;
pub use tx::Tx;

use crate::clock::Timestamp;

/// A handle to the database; cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Db {
    write: DatabaseConnection,
    read: DatabaseConnection,
    enqueued: Arc<Notify>,
    changes: Option<Arc<ChangeWatch>>,
    group: Group,
}

impl Db {
    /// Connects; creates an SQLite file that does not exist.
    ///
    /// # Errors
    /// When the URL is not understood or the database does not answer within the connect timeout.
    pub async fn connect(config: &DatabaseConfig) -> Result<Self, DbErr> {
        let sqlite = config.url.expose().starts_with("sqlite");
        let (write, read) = if sqlite {
            let write = Database::connect(options(config, 1)).await?;
            (write, Database::connect(options(config, 8)).await?)
        } else {
            let pool = Database::connect(options(config, config.max_connections)).await?;
            (pool.clone(), pool)
        };
        let changes = if sqlite { ChangeWatch::of(&write).await? } else { None };
        Ok(Self {
            write,
            read,
            enqueued: Arc::new(Notify::new()),
            changes: changes.map(Arc::new),
            group: Group::default(),
        })
    }

    /// Which engine this is.
    #[must_use]
    pub fn engine(&self) -> DbBackend {
        self.write.get_database_backend()
    }

    /// Whether this is PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.engine() == DbBackend::Postgres
    }

    /// What tells whether anything was committed since, by whichever process. `None` where only a query tells.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        self.changes.as_ref().and_then(|changes| changes.mark())
    }

    /// A connection for statements that only read.
    #[must_use]
    pub fn reader(&self) -> &DatabaseConnection {
        &self.read
    }

    /// The connection that migrations run on.
    #[must_use]
    pub fn writer(&self) -> &DatabaseConnection {
        &self.write
    }

    /// Starts a transaction that may write. On SQLite it is the only one until it ends, so nothing slow belongs inside.
    ///
    /// # Errors
    /// When no connection is free within the acquire timeout.
    pub async fn write_tx(&self) -> Result<Tx, DbErr> {
        if let Some(earlier) = Deferral::current().and_then(|deferral| deferral.take()) {
            earlier.commit_now().await?;
        }
        // The driver for PostgreSQL takes a `BEGIN` that was sent and not waited for as none.
        let write = self.write.clone();
        let inner = to_the_end(async move { write.begin_with_options(immediate()).await }).await?;
        Ok(Tx { inner, turn: None, enqueued: AtomicBool::new(false), wake: Arc::clone(&self.enqueued) })
    }

    /// As [`Db::write_tx`], for the effect of a job. On SQLite it becomes durable together with those that wait meanwhile,
    /// so its commit may wait for theirs: what holds a lock across the commit, no other effect may want.
    ///
    /// # Errors
    /// As [`Db::write_tx`].
    pub async fn group_tx(&self) -> Result<Tx, DbErr> {
        if self.is_postgres() {
            return self.write_tx().await;
        }
        let (inner, turn) = self.group.begin(&self.write).await?;
        Ok(Tx { inner, turn: Some(turn), enqueued: AtomicBool::new(false), wake: Arc::clone(&self.enqueued) })
    }

    /// Resolves after a transaction that enqueued jobs has committed in this process.
    pub async fn jobs_enqueued(&self) {
        self.enqueued.notified().await;
    }

    /// Wakes the relay of this process.
    pub fn wake_relay(&self) {
        self.enqueued.notify_one();
    }

    /// The database's own clock.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn now(&self) -> Result<Timestamp, DbErr> {
        let sql = if self.is_postgres() {
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now"
        } else {
            "SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER) AS now"
        };
        let row = self.read.query_one_raw(Statement::from_string(self.engine(), sql)).await?;
        row.ok_or_else(|| DbErr::RecordNotFound("clock".to_owned()))?.try_get("", "now").map(Timestamp)
    }
}

/// How a transaction that may write begins.
fn immediate() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

fn options(config: &DatabaseConfig, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(config.url.expose().clone());
    let statement_timeout = format!("{}s", config.statement_timeout_seconds);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(config.acquire_timeout_seconds))
        .connect_timeout(Duration::from_secs(config.acquire_timeout_seconds))
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .test_before_acquire_if_idle_for(Duration::from_secs(10))
        .map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(5))
                .foreign_keys(true)
                .disable_statement_logging()
        })
        .map_sqlx_sqlite_pool_opts(|pool| pool.after_release(|connection, _| Box::pin(keep(connection))))
        .map_sqlx_postgres_opts(move |postgres| {
            postgres
                .options([
                    ("statement_timeout", statement_timeout.as_str()),
                    ("lock_timeout", "5s"),
                    ("idle_in_transaction_session_timeout", "15s"),
                ])
                .disable_statement_logging()
        });
    if let Some(schema) = &config.schema {
        options.set_schema_search_path(schema.clone());
    }
    options
}

/// Whether a connection may go back to the pool. When the disk is full or fails, SQLite undoes the transaction by itself; the
/// driver's own rollback is then refused, and the driver takes the connection for one with an open transaction. What followed
/// on it would be savepoints that nobody commits: answered as done, and lost.
async fn keep(connection: &mut SqliteConnection) -> Result<bool, SqlxError> {
    if connection.is_in_transaction() {
        // A rollback that is merely under way is waited for.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Whether an error says that a unique constraint was violated.
#[must_use]
pub fn is_unique_violation(err: &DbErr) -> bool {
    matches!(err.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// Whether a code of the database says that the same statement may succeed later.
fn is_passing(code: &str) -> bool {
    // Codes of PostgreSQL have five characters, those of SQLite are numbers whose lowest byte is the kind.
    if code.len() < 5 {
        // 5 busy, 6 locked, 10 I/O error, 13 disk full.
        return code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 10 | 13));
    }
    // Class 08 connection exception, class 53 insufficient resources, class 57 operator intervention and statement timeout,
    // 40001 serialization failure, 40P01 deadlock, 55P03 lock not available.
    ["08", "53", "57"].iter().any(|class| code.starts_with(class)) || matches!(code, "40001" | "40P01" | "55P03")
}

/// Whether a driver error means that the database did not answer, rather than that it refused.
#[must_use]
pub fn is_connection_loss(err: &SqlxError) -> bool {
    match err.as_database_error() {
        Some(database) => database.code().is_some_and(|code| is_passing(&code)),
        None => matches!(
            err,
            SqlxError::Io(_)
                | SqlxError::Tls(_)
                | SqlxError::Protocol(_)
                | SqlxError::PoolTimedOut
                | SqlxError::PoolClosed
                | SqlxError::WorkerCrashed
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_engines_are_told_apart() {
        for passing in ["5", "517", "10", "1034", "13", "08006", "53100", "57P01", "40001", "40P01", "55P03"] {
            assert!(is_passing(passing), "{passing}");
        }
        for lasting in ["1", "19", "2067", "11", "23505", "42601", "22P05", "XX000"] {
            assert!(!is_passing(lasting), "{lasting}");
        }
    }
}
