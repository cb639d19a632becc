//! The list of all jobs, against which handlers, fixtures and the published schema are checked.

use std::time::Duration;

use super::{Job, Queue, Retry};

/// What is known of one kind of job without its payload type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CatalogEntry {
    /// Wire name.
    pub name: &'static str,
    /// Newest payload version.
    pub version: u16,
    /// Queue.
    pub queue: Queue,
    /// Retry policy.
    pub retry: Retry,
    /// Validity.
    pub expires: Option<Duration>,
}

/// The entry of a job.
#[must_use]
pub const fn entry<J: Job>() -> CatalogEntry {
    CatalogEntry { name: J::NAME, version: J::VERSION, queue: J::QUEUE, retry: J::RETRY, expires: J::EXPIRES }
}
