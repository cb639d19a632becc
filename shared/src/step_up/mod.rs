//! Step-up: a signed-in user proves again who they are, because what they want to do is sensitive.
//!
//! ```text
//! sensitive operation ── sessions::require_recent ──► sensitive_action_required_reauth
//! POST /api/users/@me/reauthenticate ── try counted ── proof right? ──► one transaction:
//!     a fresh token for the session (the old one ends) · reauthenticated_at = now · audit
//! ```
//!
//! It stands above the authenticators and `sessions`, because it decides what a proof means for a session. The token
//! changes, so that whoever holds a copy of the old one gains nothing from the proof (OWASP ASVS 5.0, 7.2.4).

mod error;
mod flow;

pub use error::StepUpError;
pub use flow::{Evidence, reauthenticate};
