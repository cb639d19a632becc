//! Trusted devices: a browser that passed the second step and need not pass it again for a while.
//!
//! ```text
//! second step done, "remember this device" ── trust ──► row (digest, user, method, epoch) + cookie, shown once
//! next login ── is_trusted ──► the same user, the same method, the same epoch, not expired → the step is skipped
//! ```
//!
//! Invariants: a cookie helps one user with one method; the database holds its digest only; moving the user's epoch ends
//! all of them; an unknown, expired or malformed cookie is the same as none, never an error.

mod config;
mod entity;
mod flow;
mod store;

pub use config::DevicesConfig;
pub use flow::{Trusted, is_trusted, trust};
