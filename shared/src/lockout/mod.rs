//! Lockout: what makes guessing hopeless, without letting a stranger lock the owner out.
//!
//! ```text
//! reserve ── failed too often in a row ─────────────► disabled: this authenticator, not the account
//!         ── this account from this client ─────────► locked, nothing is verified
//!         ── this account from anywhere ────────────► slowed down
//!         ── otherwise: counted, before anything is verified
//! right ── succeed: not counted after all; forget, once there is a session: the client begins anew
//! wrong ── fail: the count stays; the last one that is allowed is audited and mailed to the owner
//! ```
//!
//! Invariants: an attempt is counted before it is verified, in one statement, so that attempts at the same moment are
//! counted each; all authenticators share the count of an account and a client; a device that signed in before has a
//! count of its own, and nothing that others do slows it down; failures of passkeys go into the shared count, and only
//! failures of passkeys hold a passkey off, so that whoever guesses passwords never keeps its owner from signing in; rows are keyed by digests of what the client sent,
//! whether or not it is an account's address. A database error is returned, and callers refuse.

mod config;
mod error;
mod flow;
mod jobs;
mod store;

pub use config::LockoutConfig;
pub use error::{LockoutError, PROBLEMS};
pub use flow::{Authenticator, Reservation, Subject, enable, fail, forget, give_back, reserve, succeed};
pub use jobs::{NotifyDisabled, NotifyLocked, SweepLockouts};
pub use store::sweep;
