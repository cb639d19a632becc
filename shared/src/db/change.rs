//! Whether an SQLite database has changed since a moment, without a query.
//!
//! In WAL mode every commit, of whichever process, rewrites the header of the wal-index before COMMIT returns: the file
//! `…-shm`, which begins with two copies of 48 bytes that hold a change counter, the number of valid frames and a checksum
//! (<https://sqlite.org/walformat.html>, section 2.1). Two equal readings therefore mean that nothing was committed in
//! between. The file lives in the page cache, so a reading costs one system call and no other thread's time.
//!
//! The file goes with the last connection of all processes, and a handle on one that is gone would read the same for ever.
//! One connection is therefore kept as long as the handle: whatever pools close, theirs is not the last.
//!
//! The file is never closed: SQLite holds POSIX locks on it, and closing any descriptor of a file drops all locks that the
//! process has on it (<https://sqlite.org/howtocorrupt.html>, section 2.2).

use std::{fs::File, mem::ManuallyDrop, os::unix::fs::FileExt as _, sync::Mutex};

use sea_orm::{
    DatabaseConnection, DbErr, RuntimeErr,
    sqlx::{self, SqliteConnection},
};

/// Two copies of the header.
const LENGTH: usize = 96;

/// A reading. Equal ones mean that nothing was committed in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark([u8; LENGTH]);

/// Reads marks.
#[derive(Debug)]
pub(super) struct ChangeWatch {
    index: ManuallyDrop<File>,
    /// Keeps the file; the mutex is never locked.
    _connection: Mutex<SqliteConnection>,
}

impl ChangeWatch {
    /// Of the file that `db` is connected to; `None` for a database without one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn of(db: &DatabaseConnection) -> Result<Option<Self>, DbErr> {
        Self::open(db).await.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(error.into())))
    }

    async fn open(db: &DatabaseConnection) -> sqlx::Result<Option<Self>> {
        let mut connection = db.get_sqlite_connection_pool().acquire().await?.detach();
        // Reading the database opens the file as well.
        let sql = "SELECT file FROM pragma_database_list, (SELECT count(*) FROM sqlite_schema) WHERE name = 'main'";
        let file: Option<String> = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
        let Some(file) = file.filter(|file| !file.is_empty()) else { return Ok(None) };
        let index = ManuallyDrop::new(File::open(format!("{file}-shm"))?);
        Ok(Some(Self { index, _connection: Mutex::new(connection) }))
    }

    /// A reading, unless there is none to be had.
    pub(super) fn mark(&self) -> Option<Mark> {
        let mut header = [0; LENGTH];
        self.index.read_exact_at(&mut header, 0).ok()?;
        Some(Mark(header))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        config,
        db::{DatabaseConfig, Db},
    };
    use sea_orm::ConnectionTrait;

    fn at(path: &std::path::Path) -> DatabaseConfig {
        let url = format!("sqlite://{}", path.display());
        config::load_from(None, [("GATEPOST__DATABASE__URL".to_owned(), url)].into_iter()).unwrap().database
    }

    #[tokio::test]
    async fn a_mark_moves_with_every_commit_and_only_then() {
        let folder = std::env::temp_dir().join(format!("gatepost-change-{}", crate::ids::next()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = at(&folder.join("one.db"));
        let (here, there) = (Db::connect(&config).await.unwrap(), Db::connect(&config).await.unwrap());
        here.writer().execute_unprepared("CREATE TABLE t (n integer)").await.unwrap();
        let mut before = here.mark().expect("a mark");
        assert_eq!(there.mark(), Some(before));
        for _ in 0..50 {
            there.writer().execute_unprepared("INSERT INTO t VALUES (1)").await.unwrap();
            let after = here.mark().expect("a mark");
            assert_ne!(after, before);
            here.reader().query_one_raw(count()).await.unwrap();
            assert_eq!(here.mark(), Some(after), "reading changes nothing");
            before = after;
        }
        drop(std::fs::remove_dir_all(&folder));
    }

    /// What pools close never is the last connection, with which the file would go.
    #[tokio::test]
    async fn a_mark_moves_when_all_other_connections_were_closed() {
        let folder = std::env::temp_dir().join(format!("gatepost-change-{}", crate::ids::next()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = at(&folder.join("one.db"));
        let here = Db::connect(&config).await.unwrap();
        here.writer().execute_unprepared("CREATE TABLE t (n integer)").await.unwrap();
        let before = here.mark().expect("a mark");
        here.writer().get_sqlite_connection_pool().close().await;
        here.reader().get_sqlite_connection_pool().close().await;
        let there = Db::connect(&config).await.unwrap();
        there.writer().execute_unprepared("INSERT INTO t VALUES (1)").await.unwrap();
        assert!(here.mark().is_some_and(|after| after != before));
        assert_eq!(here.mark(), there.mark());
        drop(std::fs::remove_dir_all(&folder));
    }

    fn count() -> sea_orm::Statement {
        sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, "SELECT count(*) AS n FROM t")
    }
}
