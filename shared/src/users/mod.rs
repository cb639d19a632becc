//! Users: who exists, how they are addressed, and the epoch that ends everything they hold.
//!
//! ```text
//! sign-up ──► user (unverified) ──confirm──► verified ──disable──► disabled
//!                                             │ PATCH e-mail: pending until the new address is confirmed
//!                                             ▼
//! auth_epoch + 1 ends all sessions, pending logins and mailed links of the user at once
//! ```
//!
//! Invariants: one user per normalised address; the address only changes after proof; `auth_epoch` only grows.

mod email;
mod entity;
mod error;
mod flow;
mod jobs;
mod store;

pub use email::{Email, InvalidEmail, Mark, mark};
pub use entity::{Model as User, UserId};
pub use error::{PROBLEMS, USER_NOT_FOUND, UserError};
pub use flow::{Profile, disable, update_profile};
pub use jobs::{NotifyEmailChanged, Side};
pub use store::{
    bump_epoch, change_email, create, delete, find, find_by_email, is_empty, list, lock, lock_while_empty,
    mark_verified, set_names, set_pending_email,
};
