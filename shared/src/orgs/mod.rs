//! Organizations: who users work for, what each role may do there, and the one gate to everything that belongs to one.
//!
//! ```text
//! request ── Actor (who, by which credential, how far it reaches)
//!    require(actor, organization, Permission) ──► member? within the credential's reach? may this role?
//!        not a member ──► not found: nobody learns what exists
//!        a member by an API key that is limited to something else, or that the organization does not allow ──► forbidden
//!        a member who does not meet its demand for a second factor ──► what is missing, see `enforcement`
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
mod scope;
mod store;

pub use actor::{Actor, Credential};
pub use entity::{Model as Organization, OrgId};
pub use error::{
    API_KEY_IN_QUERY_NOT_ALLOWED, API_KEY_OUT_OF_REACH, API_KEYS_NOT_ALLOWED, ORGANIZATION_NOT_FOUND, OrgError,
    PROBLEMS,
};
pub use flow::{Access, allow_api_key, create, list_reachable, require, require_for_project};
pub use role::{Permission, Role};
pub use scope::{InvalidScopes, OBJECTS, Scopes, is_scope};
pub use store::{find, find_role, list_of_user, member_ids, of_user};
