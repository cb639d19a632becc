//! Persons as people look at them: reading, splitting and deleting them, their events, and what is wrong with events.
//!
//! ```text
//! projects::require(ReadPersons)   ──► persons (search by distinct id, e-mail), events, warnings
//! projects::require(ManagePersons) ──► split, delete: `identify` does it, with an audit row
//! sweep ──► events and warnings after the configured time, rows of projects that are gone
//! ```
//!
//! Invariants: an event names the person that its distinct id belongs to now; nothing here changes what `identify` derives.

mod config;
mod error;
mod flow;
mod jobs;
mod store;

pub use config::PersonsConfig;
pub use error::{DISTINCT_ID_OF_ANOTHER_PERSON, PERSON_NOT_FOUND, PROBLEMS, PersonError};
pub use flow::{delete, get, list, list_events, list_warnings, split};
pub use jobs::SweepEvents;
pub use store::{
    EventFilter, Page, PersonFilter, Position, StoredEvent, StoredPerson, StoredWarning, sweep_events, sweep_warnings,
};
