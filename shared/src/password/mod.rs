//! Passwords: strength, hashing in a bounded pool, changing one.
//!
//! ```text
//! login        HashPool::reserve ──► Ticket::verify(stored | decoy)      full → 503 before the database is touched
//! new password strength::check · blocklist::contains ──► Ticket::hash ──► store in the caller's transaction
//! change       current right? ──► Ticket::hash ──► `password_change` stores it and ends what the user holds
//! ```
//!
//! Invariants: a password is normalised (NFC) once, at both ends; it is never truncated; a hash carries its parameters and
//! the id of the pepper key; unknown users cost the same hash as known ones. Bytes of a password live in zeroised memory.

mod config;
mod entity;
mod error;
mod flow;
mod jobs;
mod phc;
mod pool;
mod store;
pub mod strength;

pub use config::PasswordConfig;
pub use error::{PROBLEMS, PasswordError};
pub use flow::{change, validate, validate_for};
pub use jobs::NotifyPasswordChanged;
pub use phc::StoredPassword;
pub use pool::{HashPool, Overloaded, PoolError, Ticket, Verification};
pub use store::{count_by_key, find, remove, set, stored_in, upgrade};
