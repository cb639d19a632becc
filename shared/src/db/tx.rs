//! A transaction that may write, and that wakes the relay when it commits jobs.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sea_orm::{DatabaseTransaction, DbErr};
use tokio::sync::Notify;

use super::{Deferral, group::Turn};
use crate::chaos;

/// A transaction that may write. Dropping it without [`Tx::commit`] rolls it back.
#[derive(Debug)]
pub struct Tx {
    pub(super) inner: DatabaseTransaction,
    /// Where its commit is shared. Dropped after `inner`, which is undone in its own turn.
    pub(super) turn: Option<Turn>,
    pub(super) enqueued: AtomicBool,
    pub(super) wake: Arc<Notify>,
}

impl Tx {
    /// Makes everything in the transaction durable, then wakes the relay if jobs were enqueued.
    ///
    /// # Errors
    /// When the database refuses the commit or is lost during it; the outcome is then unknown.
    pub async fn commit(self) -> Result<(), DbErr> {
        match Deferral::current() {
            Some(deferral) => {
                deferral.hold(self);
                Ok(())
            }
            None => self.commit_now().await,
        }
    }

    /// As [`Tx::commit`], also within a [`Deferral`]: for what is beside the purpose of a request, such as recording that a
    /// credential was used.
    ///
    /// # Errors
    /// As [`Tx::commit`].
    pub async fn commit_now(self) -> Result<(), DbErr> {
        let Self { inner, turn, enqueued, wake } = self;
        let carries_jobs = enqueued.load(Ordering::Relaxed);
        if carries_jobs {
            chaos::point("gateway.before_commit");
        }
        match turn {
            Some(turn) => turn.commit(inner).await?,
            None => inner.commit().await?,
        }
        if carries_jobs {
            chaos::point("gateway.after_commit");
            wake.notify_one();
        }
        Ok(())
    }

    /// Undoes everything in the transaction.
    ///
    /// # Errors
    /// When the database is lost; it then rolls back by itself.
    pub async fn rollback(self) -> Result<(), DbErr> {
        // One that shares its commit must leave no statement under way: dropping it is enough.
        if self.turn.is_some() { Ok(()) } else { self.inner.rollback().await }
    }

    /// Remembers that this transaction carries jobs.
    pub(crate) fn mark_enqueued(&self) {
        self.enqueued.store(true, Ordering::Relaxed);
    }
}

impl Deref for Tx {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.inner
    }
}
