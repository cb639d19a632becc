//! Requests that are sent twice, and have an effect once: the answer to a key that the client chose is kept for a day.
//!
//! ```text
//! POST + Idempotency-Key ── an answer is kept? ── same request ──► the same answer again
//!                            │                 └─ another one ──► 409 idempotency_key_reused
//!                            └─ none ──► the operation runs; its last transaction takes the answer with it
//! ```
//!
//! Invariants: effect and kept answer commit together, so a process that dies in between leaves both or none, and of two
//! requests at the same time one commits and the other one replays; only successes are kept; answers are sealed at rest,
//! because some hold a secret that is shown once; a key belongs to the credential, or to the client network where there is
//! none, and to the operation.

mod entity;
mod error;
mod flow;
mod jobs;
mod store;

pub use error::{IDEMPOTENCY_KEY_REUSED, INVALID_IDEMPOTENCY_KEY, IdempotencyError, PROBLEMS};
pub use flow::{Attempt, Kept, find, keep};
pub use jobs::SweepIdempotencyKeys;
pub use store::sweep;
