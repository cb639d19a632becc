//! The hash pool: as many argon2id computations at once as there are threads, each in a memory block that it keeps.
//!
//! ```text
//! reserve() ── full? → Overloaded, at once      Ticket ── verify | hash ──► queue ──► thread (own block) ──► reply
//!                                                            waited too long → Overloaded
//! ```
//!
//! The bound keeps memory at `threads × memory_kib` whatever arrives, and keeps the runtime's threads free for requests
//! that do not hash. A block is given back after a while without logins. A place is reserved before the database is
//! touched, so overload costs nothing but the refusal.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use argon2::{Block, Params};
use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::{
    PasswordConfig,
    phc::{self, StoredPassword},
};
use crate::secret::Keyring;

/// Purpose of the derived pepper.
const PEPPER: &str = "password_pepper";

/// No hash can be computed in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Overloaded;

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Whether the password is right.
    pub is_right: bool,
    /// The same password with present parameters and key, when it is right and was stored with others.
    pub upgrade: Option<StoredPassword>,
}

/// The pool.
pub struct HashPool {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Mutex<VecDeque<Task>>,
    ready: Condvar,
    closed: AtomicBool,
    reserved: AtomicUsize,
    computed: AtomicU64,
    capacity: usize,
    wait: Duration,
    release_after: Duration,
    params: Params,
    keys: Keyring,
    decoy: StoredPassword,
}

enum Work {
    Verify(StoredPassword),
    Hash,
}

enum Answer {
    Verified(Verification),
    Hashed(Option<StoredPassword>),
}

struct Task {
    password: Zeroizing<String>,
    work: Work,
    deadline: Instant,
    reply: oneshot::Sender<Answer>,
}

/// Why a pool could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The configured parameters are not valid for argon2id.
    #[error("password.memory_kib, passes or lanes: {0}")]
    Parameters(argon2::Error),
    /// No thread could be started.
    #[error("cannot start a hashing thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl HashPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the parameters are invalid or a thread cannot be started.
    pub fn start(config: &PasswordConfig, keys: &Keyring) -> Result<Self, PoolError> {
        let params =
            Params::new(config.memory_kib, config.passes, config.lanes, None).map_err(PoolError::Parameters)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = if config.threads == 0 { cores } else { config.threads };
        let pepper = keys.blind(PEPPER, &[]);
        let decoy = phc::hash(b"", &pepper, &params, &mut Vec::new()).unwrap_or_default();
        let inner = Arc::new(Inner {
            queue: Mutex::new(VecDeque::new()),
            ready: Condvar::new(),
            closed: AtomicBool::new(false),
            reserved: AtomicUsize::new(0),
            computed: AtomicU64::new(0),
            capacity: threads * (config.queue_per_thread + 1),
            wait: Duration::from_millis(config.wait_milliseconds),
            release_after: Duration::from_secs(config.release_after_seconds),
            params,
            decoy: StoredPassword { phc: decoy, key_id: keys.current().to_owned() },
            keys: keys.clone(),
        });
        for number in 0..threads {
            let inner = Arc::clone(&inner);
            std::thread::Builder::new().name(format!("hash-{number}")).spawn(move || inner.work())?;
        }
        Ok(Self { inner })
    }

    /// Takes a place in the queue.
    ///
    /// # Errors
    /// When the queue is full; the caller answers at once.
    pub fn reserve(&self) -> Result<Ticket, Overloaded> {
        let taken = self.inner.reserved.fetch_add(1, Ordering::AcqRel);
        let ticket = Ticket { inner: Arc::clone(&self.inner) };
        if taken >= self.inner.capacity {
            metrics::counter!("gatepost_hash_pool_rejected_total").increment(1);
            return Err(Overloaded);
        }
        Ok(ticket)
    }

    /// Hashes computed so far, decoys included.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.inner.computed.load(Ordering::Relaxed)
    }

    /// Whether a stored hash differs from what this pool would make now.
    #[must_use]
    pub fn is_outdated(&self, stored: &StoredPassword) -> bool {
        self.inner.is_outdated(stored)
    }
}

impl Drop for HashPool {
    fn drop(&mut self) {
        self.inner.closed.store(true, Ordering::Release);
        self.inner.ready.notify_all();
    }
}

/// A place in the queue, given back when it is used or dropped.
pub struct Ticket {
    inner: Arc<Inner>,
}

impl Ticket {
    /// Checks a password against a stored hash; `None` costs the same and is never right.
    ///
    /// # Errors
    /// When no thread got to it in time.
    pub async fn verify(self, stored: Option<StoredPassword>, password: &str) -> Result<Verification, Overloaded> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.inner.decoy.clone());
        match self.submit(Work::Verify(stored), password).await? {
            Answer::Verified(found) if known => Ok(found),
            Answer::Verified(_) | Answer::Hashed(_) => Ok(Verification { is_right: false, upgrade: None }),
        }
    }

    /// Hashes a password with present parameters and key.
    ///
    /// # Errors
    /// When no thread got to it in time.
    pub async fn hash(self, password: &str) -> Result<StoredPassword, Overloaded> {
        match self.submit(Work::Hash, password).await? {
            Answer::Hashed(Some(stored)) => Ok(stored),
            Answer::Hashed(None) | Answer::Verified(_) => Err(Overloaded),
        }
    }

    async fn submit(self, work: Work, password: &str) -> Result<Answer, Overloaded> {
        let (reply, answer) = oneshot::channel();
        let deadline = Instant::now() + self.inner.wait;
        let task = Task { password: normalise(password), work, deadline, reply };
        self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(task);
        self.inner.ready.notify_one();
        let answer = answer.await.map_err(|_| Overloaded);
        if answer.is_err() {
            metrics::counter!("gatepost_hash_pool_rejected_total").increment(1);
        }
        answer
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.inner.reserved.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The form in which a password is set and verified: Unicode NFC, not trimmed, not folded (RFC 8265, section 4).
fn normalise(password: &str) -> Zeroizing<String> {
    Zeroizing::new(password.nfc().collect())
}

impl Inner {
    /// One thread: takes tasks until the pool is dropped.
    fn work(&self) {
        let mut memory: Vec<Block> = Vec::new();
        while let Some(task) = self.next(&mut memory) {
            if task.reply.is_closed() || Instant::now() > task.deadline {
                continue;
            }
            let answer = self.answer(&task, &mut memory);
            // A requester that went away meanwhile is no failure.
            drop(task.reply.send(answer));
        }
    }

    fn next(&self, memory: &mut Vec<Block>) -> Option<Task> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(task) = queue.pop_front() {
                return Some(task);
            }
            if self.closed.load(Ordering::Acquire) {
                return None;
            }
            let (guard, timeout) =
                self.ready.wait_timeout(queue, self.release_after).unwrap_or_else(PoisonError::into_inner);
            queue = guard;
            if timeout.timed_out() {
                *memory = Vec::new();
            }
        }
    }

    fn answer(&self, task: &Task, memory: &mut Vec<Block>) -> Answer {
        self.computed.fetch_add(1, Ordering::Relaxed);
        let password = task.password.as_bytes();
        match &task.work {
            Work::Hash => Answer::Hashed(self.hash(password, memory)),
            Work::Verify(stored) => {
                let pepper = self.keys.derive(&stored.key_id, PEPPER, &[]);
                // A removed key costs the same and is never right.
                let key = pepper.unwrap_or_default();
                let is_right = phc::verify(password, &key, &stored.phc, memory) && pepper.is_some();
                let outdated = is_right && self.is_outdated(stored);
                let upgrade = if outdated { self.hash(password, memory) } else { None };
                Answer::Verified(Verification { is_right, upgrade })
            }
        }
    }

    fn hash(&self, password: &[u8], memory: &mut Vec<Block>) -> Option<StoredPassword> {
        let key_id = self.keys.current().to_owned();
        let pepper = self.keys.derive(&key_id, PEPPER, &[])?;
        let phc = phc::hash(password, &pepper, &self.params, memory)?;
        Some(StoredPassword { phc, key_id })
    }

    fn is_outdated(&self, stored: &StoredPassword) -> bool {
        stored.key_id != self.keys.current() || phc::is_outdated(&stored.phc, &self.params)
    }
}
