//! E-mail MFA: the fallback second step for users without an authenticator app or a passkey.
//!
//! ```text
//! login (password right, no factor) ──► SendLoginCode ──► worker derives code and link ──► mail
//! code | link + the browser that began ──► login compares with what it derives itself
//! ```
//!
//! This slice has no table: code and link are derived from the pending login, which is `login`'s row. A code counts as
//! `amr: email`, never as a second factor of AAL2. When no mail can be sent the login is refused, unless an
//! administrator granted this user a bypass: explicit, limited in time, audited.

mod bypass;
mod config;
mod jobs;
mod proof;

pub use bypass::{BYPASS_UNTIL, grant_bypass};
pub use config::EmailMfaConfig;
pub use jobs::SendLoginCode;
pub use proof::Attempt;
