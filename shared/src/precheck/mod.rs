//! Precheck: what a sign-in page asks about an address before anything is proven.
//!
//! ```text
//! address ──► domain demands a provider ──► its name, and no passkeys
//!         ──► a user with passkeys ───────► those, the newest ones first
//!         ──► anything else ──────────────► decoys, made of the address and the installation's key
//! ```
//!
//! Invariants: whether there is a user makes no difference in shape, in the numbers that occur or in the statements that
//! run; asked again, the answer is the same; callers are counted before anything is looked up; what is tried with a decoy is
//! counted for its address, as what is tried with a passkey is.

mod config;
mod decoy;
mod error;
mod flow;

pub use config::PrecheckConfig;
pub use decoy::marked;
pub use error::PrecheckError;
pub use flow::{Offered, Precheck, precheck};
