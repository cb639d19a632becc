//! Group commit on SQLite: transactions of jobs that run side by side are made durable together. PostgreSQL does so itself.
//!
//! ```text
//! BEGIN ─ work ─┬─ nobody waits ────────────────────────────────► COMMIT
//!               └─ others wait: SAVEPOINT ─ work ─ RELEASE, … ──► COMMIT; each is told what came of it
//! ```
//!
//! Whoever has done their work goes to the end of the line; the first whose turn comes again commits for all. What does
//! not commit is undone alone, and nobody joins after it: SQLite may have undone everything when a disk is full.
//!
//! Who gives up waiting must leave no statement of a transaction under way, or the driver would undo the wrong one. So
//! beginning and committing run [`to_the_end`].

use std::sync::Arc;

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait as _};
use tokio::sync::{
    Mutex, OwnedMutexGuard,
    oneshot::{self, error::TryRecvError},
};

use super::{immediate, to_the_end};

/// The line of those who want to write.
#[derive(Clone, Debug, Default)]
pub(super) struct Group(Arc<Mutex<Option<Open>>>);

/// A transaction whose members have done their work.
#[derive(Debug)]
struct Open {
    outer: DatabaseTransaction,
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
    /// All who began have committed.
    is_whole: bool,
}

/// The turn of one member, from its begin to its commit.
#[derive(Debug)]
pub(super) struct Turn(OwnedMutexGuard<Option<Open>>);

impl Group {
    /// Begins a transaction, or joins the one that is open.
    pub async fn begin(&self, write: &DatabaseConnection) -> Result<(DatabaseTransaction, Turn), DbErr> {
        let (line, write) = (Arc::clone(&self.0), write.clone());
        to_the_end(async move {
            let mut open = line.lock_owned().await;
            if open.as_ref().is_some_and(|group| !group.is_whole) {
                close(&mut open).await;
            }
            let inner = match open.as_mut() {
                Some(group) => {
                    group.is_whole = false;
                    group.outer.begin().await?
                }
                None => write.begin_with_options(immediate()).await?,
            };
            Ok((inner, Turn(open)))
        })
        .await
    }
}

impl Turn {
    /// Makes the member's work durable, together with that of others.
    pub async fn commit(self, inner: DatabaseTransaction) -> Result<(), DbErr> {
        to_the_end(async move {
            let Self(mut open) = self;
            let (answer, mut answered) = oneshot::channel();
            if let Some(group) = open.as_mut() {
                inner.commit().await?;
                group.is_whole = true;
                group.waiting.push(answer);
            } else {
                *open = Some(Open { outer: inner, waiting: vec![answer], is_whole: true });
            }
            let line = Arc::clone(OwnedMutexGuard::mutex(&open));
            drop(open);
            let mut open = line.lock_owned().await;
            let mut outcome = answered.try_recv();
            if outcome == Err(TryRecvError::Empty) {
                close(&mut open).await;
                outcome = answered.try_recv();
            }
            outcome.unwrap_or_else(|error| Err(error.to_string())).map_err(DbErr::Custom)
        })
        .await
    }
}

/// Commits for all members.
async fn close(open: &mut Option<Open>) {
    let Some(Open { outer, waiting, .. }) = open.take() else { return };
    let outcome = outer.commit().await.map_err(|error| format!("a commit that was made together failed: {error}"));
    for answer in waiting {
        drop(answer.send(outcome.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sea_orm::{ConnectionTrait as _, DbErr, Statement};
    use tokio::{task::JoinHandle, time::timeout};

    use crate::{
        config::Config,
        db::{DatabaseConfig, Db, Tx},
        secret::Redacted,
    };

    /// Is removed when dropped.
    struct Folder(std::path::PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    /// A database with a table of names, in a folder that goes with it.
    async fn database() -> (Folder, Db) {
        let folder = std::env::temp_dir().join(format!("gatepost-group-{}", crate::ids::next()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = DatabaseConfig {
            url: Redacted::new(format!("sqlite://{}", folder.join("test.db").display())),
            ..Config::defaults().unwrap().database
        };
        let db = Db::connect(&config).await.unwrap();
        db.writer().execute_unprepared("CREATE TABLE names (name TEXT NOT NULL)").await.unwrap();
        (Folder(folder), db)
    }

    async fn add(tx: &Tx, name: &str) {
        tx.execute_unprepared(&format!("INSERT INTO names VALUES ('{name}')")).await.unwrap();
    }

    async fn names(db: &Db) -> Vec<String> {
        let statement = Statement::from_string(db.engine(), "SELECT name FROM names ORDER BY name");
        let rows = db.reader().query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get("", "name").unwrap()).collect()
    }

    /// The first member has done its work and waits for the second one, which has begun.
    #[expect(clippy::disallowed_methods, reason = "one of them is called off")]
    async fn two_members(db: &Db) -> (JoinHandle<Result<(), DbErr>>, Tx) {
        let first = db.group_tx().await.unwrap();
        add(&first, "first").await;
        let second = tokio::spawn({
            let db = db.clone();
            async move { db.group_tx().await }
        });
        // On one thread everything that can run has run then: the second one stands in line.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let first = tokio::spawn(first.commit());
        (first, second.await.unwrap().unwrap())
    }

    #[tokio::test]
    async fn members_become_durable_together() {
        let (_folder, db) = database().await;
        let (mut first, second) = two_members(&db).await;
        add(&second, "second").await;
        let early = timeout(Duration::from_millis(50), &mut first).await;
        assert!(early.is_err() && names(&db).await.is_empty(), "the first one waits for the second");
        second.commit().await.unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(names(&db).await, ["first", "second"]);
    }

    #[tokio::test]
    async fn a_member_that_does_not_commit_is_undone_alone() {
        let (_folder, db) = database().await;
        let (first, second) = two_members(&db).await;
        add(&second, "second").await;
        drop(second);
        first.await.unwrap().unwrap();
        assert_eq!(names(&db).await, ["first"]);
        let third = db.group_tx().await.unwrap();
        add(&third, "third").await;
        third.rollback().await.unwrap();
        assert_eq!(names(&db).await, ["first"]);
        let other = db.write_tx().await.unwrap();
        add(&other, "other").await;
        other.commit().await.unwrap();
        assert_eq!(names(&db).await, ["first", "other"], "the connection is free for others");
    }

    #[tokio::test]
    async fn who_gives_up_waiting_is_committed_all_the_same() {
        let (_folder, db) = database().await;
        let (first, second) = two_members(&db).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        drop(second);
        let other = db.write_tx().await.unwrap();
        add(&other, "other").await;
        other.commit().await.unwrap();
        assert_eq!(names(&db).await, ["first", "other"]);
    }

    #[tokio::test]
    async fn nobody_joins_after_one_that_was_undone() {
        let (_folder, db) = database().await;
        let (first, second) = two_members(&db).await;
        // What SQLite does by itself when the disk is full.
        second.execute_unprepared("ROLLBACK").await.unwrap();
        drop(second);
        assert!(first.await.unwrap().is_err(), "what was undone was not committed");
        let third = db.group_tx().await.unwrap();
        add(&third, "third").await;
        third.commit().await.unwrap();
        assert_eq!(names(&db).await, ["third"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_at_once_those_that_commit_are_kept() {
        let (_folder, db) = database().await;
        let mut members = tokio::task::JoinSet::new();
        for number in 0..100 {
            let db = db.clone();
            members.spawn(async move {
                let tx = db.group_tx().await.unwrap();
                add(&tx, &format!("{number:03}")).await;
                match number % 4 {
                    0 => drop(tx),
                    1 => drop(timeout(Duration::ZERO, tx.commit()).await),
                    _ => tx.commit().await.unwrap(),
                }
            });
        }
        members.join_all().await;
        // Those that were called off while they committed are committed behind everybody else.
        db.group_tx().await.unwrap().commit().await.unwrap();
        let expected: Vec<_> = (0..100).filter(|number| number % 4 > 0).map(|number| format!("{number:03}")).collect();
        assert_eq!(names(&db).await, expected);
    }
}
