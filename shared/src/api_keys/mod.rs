//! Personal API keys: what programs of a user present in the user's place, within scopes.
//!
//! ```text
//! create, roll ── session, proof of identity within two hours ──► row (hash, mask) ── `gpx_…`, shown once
//! request ── checksum ─ cache by generation ─ hash ──► owner active? epoch? expired? does an organization allow it?
//!              └─ `phx_…` of former installations ── a row with this mask? ─ slow hash ──► rewritten as a fast one
//! sweep ── unused for 335 and 358 days ──► a warning each ── 365 days ──► expired, a mail
//! leak report ──► exposed, a mail: refused from then on
//! ```
//!
//! Invariants: a key is recoverable from nothing that is stored; garbage costs no query; what refuses a key is checked at
//! use, never by the sweep; the user's epoch ends keys like sessions, and rolling one gives it the present epoch; a key
//! cannot make, change or roll keys.

mod config;
mod entity;
mod error;
mod expiry;
mod flow;
mod jobs;
mod store;
mod verify;

pub use config::ApiKeysConfig;
pub use entity::{ApiKeyId, Model as ApiKey, State};
pub use error::{API_KEY_EXPIRED, API_KEY_NOT_FOUND, ApiKeyError, INVALID_API_KEY, INVALID_SCOPE, PROBLEMS, Place};
pub use expiry::{KeyNotice, Swept, notice, sweep};
pub use flow::{Created, Reach, TouchingKey, Wish, create, delete, find, list, report_leak, roll, touching, update};
pub use jobs::{NotifyKeyCreated, NotifyKeyExpired, NotifyKeyExpiring, NotifyKeyExposed, SweepKeyExpiry};
pub use verify::{KeyCache, KeyPrincipal, authenticate, is_candidate, note_refusal};
