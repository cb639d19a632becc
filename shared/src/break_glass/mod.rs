//! Break-glass codes: how the owners of an organization get in when the provider that its domains demand does not work.
//!
//! ```text
//! create ── owner, recent proof of identity ──► shown once, its digest stored, an earlier one void, administrators are told
//! login with the code ── of the organization whose domain demands the provider, unspent ──► the password is looked at
//!     ── right, and an owner's ──► spent, audited, administrators are told ──► the second step, as ever
//!     ── anything else ──────────► as if there were no code, or as a wrong password
//! ```
//!
//! Invariants: a code stands in for the demand of its own organization's domains only, never for a password or a second
//! factor; it works once; whoever has it and is no owner gets nothing by it. What the configuration demands it does not lift.

mod entity;
mod flow;
mod jobs;
mod store;

pub use entity::{BreakGlassCodeId, Model as BreakGlassCode};
pub use flow::{BreakGlassMail, Created, create, find_live, mail, remove, spend};
pub use jobs::NotifyBreakGlass;
