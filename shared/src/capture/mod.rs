//! Capture: what analytics clients send, read leniently and made durable before it is answered.
//!
//! ```text
//! bytes ─ decode ─► JSON ─ batch, event ─► events ─ Capture::deliver ─► project of the token
//!                                                        │                (cached for a bounded time)
//!                                                        ▼
//!                           a bounded queue ─► Batcher: whatever waits shares a transaction ─► identify::accept
//!                                                        │
//!                                    commit ─► each delivery is answered; nothing before it
//! ```
//!
//! The wire is that of clients that are already out there, so the reading is theirs: encodings are recognised by what
//! they look like, not by what headers say. It is a function of the bytes and the time, never panics, and its memory is
//! bounded: what unpacks to more than the limit is refused while it unpacks.
//!
//! Invariants: an accepted delivery is committed with its identity jobs; a delivery that comes twice is stored once,
//! because an event without an id gets one made from its content. The project token is public and proves nothing, so
//! nothing here has a say in who is signed in. On failure nothing of a delivery is stored and the client is told to come
//! again; a delivery that the database refuses does not fail the others of its transaction.

mod batch;
mod batcher;
mod config;
mod decode;
mod error;
mod event;
mod flow;

pub use batch::{Batch, read};
pub use batcher::{Batcher, COMPONENT};
pub use config::CaptureConfig;
pub use decode::Delivery;
pub use error::{CaptureError, EVENTS_TOO_LARGE, INVALID_EVENTS, PROBLEMS};
pub use event::{LATEST, MAX_CHARACTERS};
pub use flow::{Capture, Receipt, Reserved};
