//! What the server has seen, shared by its connections and by the test that asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, RwLock};
use tokio_rustls::TlsAcceptor;

use super::{Received, Tls, fault::Plan, spool::Spool};

/// One line a client sent outside of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// Connection, counted from 1.
    pub connection: usize,
    /// Whether the line came encrypted.
    pub tls: bool,
    /// The line as received, without its CRLF; the answers to an AUTH challenge are lines like any other.
    pub line: String,
}

#[derive(Default)]
pub(super) struct Log {
    pub(super) messages: Vec<Received>,
    pub(super) transcript: Vec<CommandLine>,
    pub(super) connections: usize,
    pub(super) open: usize,
    pub(super) max_open: usize,
    pub(super) transactions: usize,
    pub(super) bodies: usize,
    pub(super) failed_handshakes: usize,
    next_id: usize,
}

impl Log {
    pub(super) fn clear(&mut self) {
        let (open, next_id) = (self.open, self.next_id);
        *self = Self { open, max_open: open, next_id, ..Self::default() };
    }

    /// What there is instead of what was waited for.
    pub(super) fn summary(&self, lines: usize) -> String {
        let rcpts: Vec<String> = self.messages.iter().map(|message| message.rcpts.join("+")).collect();
        let skipped = self.transcript.len().saturating_sub(lines);
        let last: Vec<&str> = self.transcript.iter().skip(skipped).map(|entry| entry.line.as_str()).collect();
        format!(
            "there are {} messages to {rcpts:?}, {} mail transactions, {} connections, {} failed handshakes; \
             last client lines {last:?}",
            self.messages.len(),
            self.transactions,
            self.connections,
            self.failed_handshakes,
        )
    }
}

/// State behind every connection of one server.
pub(super) struct Shared {
    pub(super) tls: Tls,
    pub(super) auth: Option<(String, String)>,
    pub(super) acceptor: TlsAcceptor,
    plan: Mutex<Plan>,
    pub(super) log: Mutex<Log>,
    pub(super) changed: Notify,
    pub(super) spool: Option<Spool>,
    /// Held for reading between recording a message and replying to it.
    pub(super) settling: RwLock<()>,
}

impl Shared {
    pub(super) fn new(tls: Tls, auth: Option<(String, String)>, acceptor: TlsAcceptor, spool: Option<Spool>) -> Self {
        Self {
            tls,
            auth,
            acceptor,
            plan: Mutex::default(),
            log: Mutex::default(),
            changed: Notify::new(),
            spool,
            settling: RwLock::new(()),
        }
    }

    pub(super) fn log(&self, change: impl FnOnce(&mut Log)) {
        change(&mut lock(&self.log));
        self.changed.notify_waiters();
    }

    pub(super) fn plan<T>(&self, ask: impl FnOnce(&mut Plan) -> T) -> T {
        ask(&mut lock(&self.plan))
    }

    /// Keeps a message: first on disk if there is a spool, then for the test.
    pub(super) fn keep(&self, message: Received, data: &[u8]) -> std::io::Result<()> {
        if let Some(spool) = &self.spool {
            spool.write(data)?;
        }
        self.log(|log| log.messages.push(message));
        Ok(())
    }
}

/// A lock whose holder panicked is as good as any other here: every change is a single step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open connection; counted as open until dropped.
pub(super) struct Open {
    shared: Arc<Shared>,
    pub(super) id: usize,
}

impl Open {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let mut id = 0;
        shared.log(|log| {
            log.connections += 1;
            log.open += 1;
            log.max_open = log.max_open.max(log.open);
            log.next_id += 1;
            id = log.next_id;
        });
        Self { shared: Arc::clone(shared), id }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.log(|log| log.open = log.open.saturating_sub(1));
    }
}
