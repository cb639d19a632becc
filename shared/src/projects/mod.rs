//! Projects: what an organization measures.
//!
//! ```text
//! create ──► row with a public token `gpc_…`, which pages and programs send with their events
//! capture ── find_by_token ──► the project that an event belongs to; the token proves nothing about who sent it
//! require(actor, project, Permission) ──► the gate of the organization, and the reach of the credential
//! delete ── close ──► no token names it and nobody reaches it; a job of `deletion` removes the rest
//! ```
//!
//! Invariants: a project belongs to one organization for ever; its token is no secret. Names are for people and need not
//! be unique: projects are told apart by id.

mod config;
mod entity;
mod error;
mod flow;
mod store;

pub use config::ProjectsConfig;
pub use entity::{Model as Project, ProjectId};
pub use error::{PROBLEMS, ProjectError};
pub use flow::{create, enter, establish, list, rename, require, roll_project_token};
pub use store::{close, find, find_by_token, list_of_organizations, purge};
