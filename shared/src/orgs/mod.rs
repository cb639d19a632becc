//! Organizations: who users work for, what each role may do there, and the one gate to everything that belongs to one.
//!
//! ```text
//! request ── Actor (who, by which credential, how far it reaches)
//!    require(actor, organization, Permission) ──► member? within the credential's reach? may this role?
//!        not a member ──► not found: nobody learns what exists
//!        a member by an API key that is limited to something else, or that the organization does not allow ──► forbidden
//!        a member who does not meet its demand for a second factor ──► what is missing, see `enforcement`
//!        a member without the permission ──► forbidden
//! change  ── enter ──► the same gate in a transaction that locks the organization's row; a refusal is audited
//! delete  ── close ──► nobody is a member from then on; a job of `deletion` removes the rest
//! ```
//!
//! Invariants: every use case on something of an organization passes [`require`] first; what each role may do is the one
//! table in `role.rs`; an organization has at least one owner who can sign in, whatever happens at once: changes of one
//! organization take turns.

mod actor;
mod config;
mod entity;
mod error;
mod flow;
mod role;
mod scope;
mod store;

pub use actor::{Actor, Credential};
pub use config::OrgsConfig;
pub use entity::{Model as Organization, OrgId};
pub use error::{
    API_KEY_IN_QUERY_NOT_ALLOWED, API_KEY_OUT_OF_REACH, API_KEYS_NOT_ALLOWED, LAST_OWNER, LIMIT_REACHED,
    ORGANIZATION_NOT_FOUND, OrgError, PROBLEMS,
};
pub use flow::{
    Access, By, Member, OrgChange, PolicyChange, Span, allow_api_key, checked_name, close, create, enter, establish,
    find_admins, join, list, list_members, list_owned_alone, list_reachable, record, refuse, remove_member, require,
    require_for_project, update, update_member,
};
pub use role::{Permission, Role};
pub use scope::{InvalidScopes, OBJECTS, Scopes, is_scope};
pub use store::{find, find_role, list_of_user, lock, member_ids, of_user, purge};
