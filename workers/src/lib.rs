//! The job workers: they take due jobs from the broker, run one function per job, and record how it ended.
//!
//! ```text
//! broker ──► consumer ──► attempt: claim ──► registry ──► handler ──► effect + `done` in one transaction ──► ack
//!               │                                            └─ a mail ──► mail: ledger, SMTP, ledger + `done`
//!               └─ readiness `worker.<queue>`
//! maintenance   the leader: reaper, schedule, gauges       health   /metrics and /health on a listener of their own
//! ```
//!
//! Reading order: [`mod@registry`] (how a function is bound to a job), [`handlers`] (the functions), [`attempt`] (one claim
//! from start to end), [`consumer`] (many of them), [`mail`] (what makes a mail safe to send twice), [`maintenance`] and
//! [`schedule`] (what happens without a request), [`process`] (a worker process put together).
//!
//! Invariants: an effect commits if and only if its job's `done` does; no handler outlives its lease; a failing or
//! panicking handler harms its own job only; a second copy of a mail is byte for byte the first.

pub mod attempt;
mod claims;
pub mod consumer;
pub mod context;
mod depths;
pub mod drain;
pub mod handlers;
pub mod health;
pub mod mail;
pub mod maintenance;
pub mod process;
pub mod registry;
pub mod schedule;
#[cfg(test)]
mod testing;

use std::{future::Future, pin::Pin};

pub use consumer::spawn;
pub use context::Context;
pub use drain::drain;
pub use handlers::registry;
pub use process::{run, run_queue};
pub use registry::{JobError, Registry};

/// A boxed future, as it crosses the borders of this crate.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
