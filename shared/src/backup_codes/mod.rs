//! Backup codes: ten codes that stand in for a second factor, once each.
//!
//! ```text
//! replace ──► ten codes of 50 bits, shown once; the earlier ones are void
//! spend ── compared with the digests ── one conditional update ──► used + NotifyBackupCodeUsed with the number left
//! ```
//!
//! Invariants: the database holds keyed digests, which without the key cannot be guessed at; a code is used once, however
//! many requests try at the same time. How it was typed does not matter: case, blanks, dashes, and `o`, `i`, `l` for
//! `0`, `1`, `1`.

mod entity;
mod flow;
mod jobs;
mod store;

pub use flow::{replace, spend};
pub use jobs::NotifyBackupCodeUsed;
pub use store::{COUNT_LEFT, count_by_key, remove_all};
