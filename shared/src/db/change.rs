//! Whether an SQLite database has changed since a moment, without a query.
//!
//! In WAL mode every commit, of whichever process, rewrites the header of the wal-index before COMMIT returns: the file
//! `…-shm`, which begins with two copies of 48 bytes that hold a change counter, the number of valid frames and a checksum
//! (<https://sqlite.org/walformat.html>, section 2.1). Two equal readings therefore mean that nothing was committed in
//! between. The file lives in the page cache, so a reading costs two system calls and no other thread's time.
//!
//! The file goes with the last connection of all processes and comes back with the next. A handle on one that is gone
//! would read the same for ever; it has no name left, by which it is recognised and opened anew. Whenever anything is
//! unusual there is no reading, and callers ask the database.
//!
//! The file is never closed: SQLite holds POSIX locks on it, and closing any descriptor of a file drops all locks that the
//! process has on it (<https://sqlite.org/howtocorrupt.html>, section 2.2). A descriptor stays open for each time that the
//! file came back, which is seldom.

use std::{
    fs::File,
    mem::ManuallyDrop,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::PathBuf,
    sync::{PoisonError, RwLock},
};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

/// Two copies of the header.
const LENGTH: usize = 96;

/// A reading. Equal ones mean that nothing was committed in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark([u8; LENGTH]);

/// Reads marks.
#[derive(Debug)]
pub(super) struct ChangeWatch {
    path: PathBuf,
    index: RwLock<Option<ManuallyDrop<File>>>,
}

impl ChangeWatch {
    /// Of the file that `db` is connected to; `None` for a database without one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn of(db: &DatabaseConnection) -> Result<Option<Self>, DbErr> {
        let statement =
            Statement::from_string(DbBackend::Sqlite, "SELECT file FROM pragma_database_list WHERE name = 'main'");
        let file = match db.query_one_raw(statement).await? {
            Some(row) => row.try_get::<Option<String>>("", "file")?.unwrap_or_default(),
            None => String::new(),
        };
        let watch = Self { path: PathBuf::from(format!("{file}-shm")), index: RwLock::new(None) };
        Ok((!file.is_empty()).then_some(watch))
    }

    /// A reading, unless there is none to be had.
    pub(super) fn mark(&self) -> Option<Mark> {
        let known = self.index.read().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|file| read(file));
        known.or_else(|| self.reopen())
    }

    /// Opens the file unless the one that is open is in use.
    fn reopen(&self) -> Option<Mark> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let in_use = index.as_ref().filter(|file| file.metadata().is_ok_and(|metadata| metadata.nlink() > 0));
        if let Some(file) = in_use {
            return read(file);
        }
        let file = ManuallyDrop::new(File::open(&self.path).ok()?);
        let mark = read(&file);
        *index = Some(file);
        mark
    }
}

fn read(index: &File) -> Option<Mark> {
    let mut header = [0; LENGTH];
    index.read_exact_at(&mut header, 0).ok()?;
    // Looked at after reading: a file that still has its name is the one that commits are written to.
    (index.metadata().ok()?.nlink() > 0).then_some(Mark(header))
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

    #[tokio::test]
    async fn a_mark_of_a_file_that_is_gone_is_not_taken() {
        let folder = std::env::temp_dir().join(format!("gatepost-change-{}", crate::ids::next()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("one.db");
        let here = Db::connect(&at(&path)).await.unwrap();
        here.writer().execute_unprepared("CREATE TABLE t (n integer)").await.unwrap();
        assert!(here.mark().is_some());
        std::fs::remove_file(folder.join("one.db-shm")).unwrap();
        assert_eq!(here.mark(), None);
        drop(std::fs::remove_dir_all(&folder));
    }

    fn count() -> sea_orm::Statement {
        sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, "SELECT count(*) AS n FROM t")
    }
}
