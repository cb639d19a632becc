//! TOTP: an authenticator app as second factor (RFC 6238 with SHA-1, 6 digits, 30 seconds).
//!
//! ```text
//! begin ──► secret, sealed, waits in the row ── confirm: a right code, same session, in time ──► enabled
//! verify ── code of step −1, 0, +1 ── later than the last accepted one? ── one conditional update ──► accepted, once
//! ```
//!
//! Invariants: a user has one row, so a further app replaces the first and never joins it; the secret is sealed with the
//! user's id as associated data, so a dump yields no code and a row moved to another user does not open; a step is
//! accepted once, on whichever gateway; a secret of an older key is sealed anew by a job, or when it is used. What enabling and disabling mean for sessions is decided by `two_factor`.

mod config;
mod entity;
mod flow;
mod jobs;
mod store;

pub use config::TotpConfig;
pub use flow::{Refusal, Setup, begin, confirm, is_enabled, remove, reseal, verify};
pub use jobs::{NotifyTotpDisabled, NotifyTotpEnabled, ResealSecrets};
pub use store::{IS_ENABLED, count_by_key};
