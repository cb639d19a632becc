//! Secret keys of projects: what servers of a project present, without a user.
//!
//! ```text
//! create, roll ── an admin of the organization ──► row (hash, mask) ── `gps_…`, shown once
//! request ── checksum ─ cache by generation ─ hash ──► rate limits of the key and of the project ──► acts as the project
//! identify ── verify ──► is this the project's key?
//! report of a leak ── expose ──► refused until it is rolled; a mail to each who manages the organization
//! ```
//!
//! Invariants: a key is recoverable from nothing that is stored; it has a closed list of scopes, and passes the gate of its
//! project and no other; it outlives whoever made it; it is never taken from a query.

mod config;
mod entity;
mod error;
mod flow;
mod jobs;
mod leak;
mod store;

pub use config::SecretKeysConfig;
pub use entity::{Model as SecretKey, SecretKeyId};
pub use error::{INVALID_SECRET_KEY, PROBLEMS, SECRET_KEY_NOT_FOUND, SecretKeyError};
pub use flow::{
    Created, PREFIX, SCOPES, SecretKeyCache, SecretPrincipal, authenticate, create, delete, list, roll, verify,
};
pub use jobs::NotifySecretKeyExposed;
pub use leak::{ExposedNotice, expose, exposed_notice};
