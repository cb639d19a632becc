//! Password change: a signed-in user replaces their password.
//!
//! ```text
//! POST /api/users/@me/password ── current right? new one strong? ──► one transaction:
//!     set · epoch + 1 (ends other sessions, trusted devices, pending logins, mailed links) · carry this session over
//!     · audit · NotifyPasswordChanged
//! ```
//!
//! A user without a password, who came by a provider, sets a first one with a fresh proof of identity in its place, unless
//! their domain demands the provider.
//!
//! It stands above `password` and `sessions`, because it decides what a change means for both.

mod error;
mod flow;

pub use error::PasswordChangeError;
pub use flow::{PasswordChange, change_password};
