//! Sessions: what a finished login yields, and what every later request presents.
//!
//! ```text
//! login ── open ──► row (hash of the token, epoch, age) ── token, shown once, in a cookie or a bearer header
//! request ── authenticate ──► row and user, cached by generation: revoked? too old? epoch moved? user disabled?
//! step-up ── renew ──► the same row with a fresh token, and a recent proof of identity
//! logout, password change, reset ── revoke ──► refused from the next request on, by every gateway
//! ```
//!
//! Invariants: the database holds a digest of the token only; every check happens at use, never by a sweep; the shortest
//! age among the user's organizations holds for sessions that live already; moving
//! `auth_epoch` on the user ends all of a user's sessions without touching their rows.

mod cache;
mod config;
mod entity;
mod error;
mod flow;
mod jobs;
mod store;

pub use cache::SessionCache;
pub use config::SessionsConfig;
pub use entity::{Model as StoredSession, SessionId};
pub use error::{PROBLEMS, SESSION_EXPIRED, SessionError, UNAUTHENTICATED};
pub use flow::{
    Opened, Principal, Proof, Renewed, Sensitivity, Transport, authenticate, end, end_others, list, log_out, open,
    renew, require_recent, settle,
};
pub use jobs::SweepEndedSessions;
pub use store::{has_factor, revoke, revoke_others, sweep};
