//! Password change: a signed-in user replaces their password.
//!
//! ```text
//! POST /api/users/@me/password ── current right? new one strong? ──► one transaction:
//!     set · epoch + 1 (ends other sessions, trusted devices, pending logins, mailed links) · carry this session over
//!     · audit · NotifyPasswordChanged
//! ```
//!
//! It stands above `password` and `sessions`, because it decides what a change means for both.

mod flow;

pub use flow::{PasswordChange, change_password};
