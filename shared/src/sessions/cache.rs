//! Sessions that were looked up lately, never older than the request that asks.
//!
//! ```text
//! request ── generation? ── nothing committed since the last read (SQLite) ──► the number of that read
//!                      └──► one query for all requests that wait at this moment ──► the number now
//!         ── entry of that number ──► judged by the clock, no further query
//!         ── none, or of another number ──► looked up, kept under the number read before
//! ```
//!
//! The database moves the number, by trigger, with every change that can end a session, or alter its user, their factors,
//! or what their organizations demand. A request takes only an entry of the number that was read after it arrived: what any
//! gateway revoked before is refused by all of them, without a time to live. Sharing that read is what makes it cheap, and
//! not reading at all while nothing was committed.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use moka::sync::Cache;
use sea_orm::{ConnectionTrait, DbErr, Statement};
use tokio::sync::oneshot;

use super::entity::Model;
use crate::{clock::Timestamp, db::Mark, enforcement::Rules, kernel::Kernel, users::User};

/// Sessions kept at most.
const CAPACITY: u64 = 20_000;
/// How long an unused one is kept.
const IDLE: Duration = Duration::from_mins(10);

/// A session with all that it is judged by.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub session: Model,
    pub user: User,
    /// What the user's organizations demand.
    pub rules: Rules,
    /// Whether the user has an authenticator app or a passkey.
    pub has_factor: bool,
}

/// What was found, as of a generation.
#[derive(Debug)]
pub(super) struct Entry {
    pub found: Found,
    pub generation: i64,
    seen_at: AtomicI64,
}

impl Entry {
    /// The last use that this process knows of.
    pub fn seen_at(&self) -> Timestamp {
        Timestamp(self.seen_at.load(Ordering::Relaxed))
    }

    /// Records a use.
    pub fn see(&self, now: Timestamp) {
        self.seen_at.store(now.0, Ordering::Relaxed);
    }
}

/// Sessions that were looked up lately.
pub struct SessionCache {
    entries: Cache<Vec<u8>, Arc<Entry>>,
    /// The generation at a moment.
    known: ArcSwapOption<(Mark, i64)>,
    waiting: Mutex<Vec<oneshot::Sender<i64>>>,
    reading: tokio::sync::Mutex<()>,
}

impl Default for SessionCache {
    fn default() -> Self {
        Self {
            entries: Cache::builder().max_capacity(CAPACITY).time_to_idle(IDLE).build(),
            known: ArcSwapOption::empty(),
            waiting: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }
}

impl SessionCache {
    pub(super) fn get(&self, digest: &[u8], generation: i64) -> Option<Arc<Entry>> {
        self.entries.get(digest).filter(|entry| entry.generation == generation)
    }

    pub(super) fn keep(&self, digest: Vec<u8>, found: Found, generation: i64) -> Arc<Entry> {
        let seen_at = AtomicI64::new(found.session.seen_at.0);
        let entry = Arc::new(Entry { found, generation, seen_at });
        self.entries.insert(digest, Arc::clone(&entry));
        entry
    }

    /// The generation, as of a moment after this call began. Calls that wait for one another share a query.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn generation(&self, kernel: &Kernel) -> Result<i64, DbErr> {
        if let Some(mark) = kernel.db.mark()
            && let Some(known) = &*self.known.load()
            && known.0 == mark
        {
            return Ok(known.1);
        }
        loop {
            let (sender, receiver) = oneshot::channel();
            let is_first = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.push(sender);
                waiting.len() == 1
            };
            if is_first {
                return Box::pin(self.read_for_all(kernel)).await;
            }
            // The one who reads went away, or its query failed: ask again.
            if let Ok(generation) = receiver.await {
                return Ok(generation);
            }
        }
    }

    async fn read_for_all(&self, kernel: &Kernel) -> Result<i64, DbErr> {
        let mut crowd = Crowd { cache: self, senders: None };
        let _turn = self.reading.lock().await;
        crowd.gather();
        // Taken before the query: a commit in between moves it, and the next request asks again.
        let mark = kernel.db.mark();
        let statement =
            Statement::from_string(kernel.db.engine(), "SELECT value FROM generations WHERE name = 'identity'");
        let row = kernel.db.reader().query_one_raw(statement).await?;
        let generation = row.ok_or_else(|| DbErr::RecordNotFound("generation".to_owned()))?.try_get("", "value")?;
        self.known.store(mark.map(|mark| Arc::new((mark, generation))));
        for sender in crowd.senders.take().into_iter().flatten() {
            // One that went away needs no answer.
            sender.send(generation).ok();
        }
        Ok(generation)
    }
}

/// Those who wait for one read. Dropped early, it lets them go, so that one of them reads instead.
struct Crowd<'a> {
    cache: &'a SessionCache,
    senders: Option<Vec<oneshot::Sender<i64>>>,
}

impl Crowd<'_> {
    fn gather(&mut self) {
        let mut waiting = self.cache.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.senders = Some(std::mem::take(&mut waiting));
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        if self.senders.is_none() {
            self.gather();
        }
    }
}
