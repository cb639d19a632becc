//! Deletion: the end of a user, an organization or a project, with everything that belongs to them.
//!
//! ```text
//! organization ── closed: nobody is a member, its projects are closed ──┐
//! project ─────── closed: no token names it, nobody reaches it ─────────┴─► one job per project removes its rows, in batches
//! user ────────── the row goes at once, and with it all that refers to it: factors, sessions, devices, memberships;
//!                 one job removes the persons of analytics that they are
//! ```
//!
//! Invariants: what was deleted is out of reach when the answer is sent, however much there is to remove; an organization
//! never loses its last owner by the end of a user; the audit trail stays, it holds ids and no names. A job that fails is
//! tried again and repeats nothing.

mod error;
mod flow;
mod jobs;

pub use error::{DeletionError, PROBLEMS};
pub use flow::{delete_organization, delete_project, delete_user, purge_project};
pub use jobs::PurgeProject;
