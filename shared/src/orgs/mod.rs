//! Organizations: who users work for, what each role may do there, and the one gate to everything that belongs to one.
//!
//! ```text
//! request ── Actor (who, by which credential, how far it reaches)
//!    require(actor, organization, Permission) ──► member? within the credential's reach? may this role?
//!        not a member, or out of reach ──► not found: nobody learns what exists
//!        a member without the permission ──► forbidden
//! ```
//!
//! Invariants: every use case on something of an organization passes [`require`] first; what each role may do is the one
//! table in `role.rs`; an organization has at least one owner.

mod actor;
mod entity;
mod error;
mod flow;
mod role;
mod store;

pub use actor::{Actor, Credential};
pub use entity::{Model as Organization, OrgId};
pub use error::{ORGANIZATION_NOT_FOUND, OrgError, PROBLEMS};
pub use flow::{Access, create, require};
pub use role::{Permission, Role};
pub use store::{find, find_role, list_of_user};
