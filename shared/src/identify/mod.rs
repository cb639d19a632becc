//! Identify: what clients capture, and the persons that it adds up to.
//!
//! ```text
//! client ── accept ──► events, facts, warnings + job, one transaction      an event's uuid exists once
//!            job ── apply ──► fact later than all that its persons have seen ──► applied to them: the fast path
//!                        └──► any other ──► all facts of its component, replayed in their order
//! ```
//!
//! Invariants: persons are a function of the set of facts, taken in the order of (time, uuid), whatever order they arrive
//! in, however often, and however many workers apply them; a merge destroys no fact; analytics identity decides nothing
//! about who is signed in.

mod accept;
mod event;
mod fact;
mod flow;
mod jobs;
pub mod merge;
mod store;

pub use accept::{accept, identity_hash, require_verification, verification_required_since, waive_verification};
pub use event::{Accepted, CapturedEvent, PersonChanges, PersonProcessing, Warning, WarningKind, person_changes};
pub use fact::{Changes, Deed, Fact, Moment, Reading, is_illegal, read};
pub use flow::{ApplyError, apply, delete, delete_of_user, record_sign_in, split};
pub use jobs::{ApplyFacts, DeletePersonsOf, RecordSignIn};
pub use store::purge;
use uuid::{Uuid, uuid};

/// Namespace of the ids that are derived here.
const NAMESPACE: Uuid = uuid!("932979b4-65c3-4424-8467-0b66ec27bc22");
