//! Passkeys: WebAuthn credentials that sign a user in without a password.
//!
//! ```text
//! add     start ─► challenge ─► register(attestation) ─► challenge of the new key ─► register(assertion) ─► row + mail
//! login   start ─► challenge, of nobody ─► finish_login(assertion) ─► owner by credential id, equal to the user handle
//!             ─► `login` checks the owner, `record_use` and the session in one transaction
//! copy?   counter not above the stored one ─► refused, audited, mail to the owner
//! ```
//!
//! Invariants: a challenge is deleted by its first answer, whatever that answer is, and works for the client it was given
//! to only; a credential gets a row when it has answered a challenge of its own, so none is listed or usable before; user
//! verification is required of every answer; a credential id belongs to one user. The protocol is W3C's Web Authentication
//! Level 3, sections 7.1 and 7.2, by `webauthn_rs`; what that leaves out is in `ceremony`.

mod ceremony;
mod config;
mod entity;
mod error;
mod flow;
mod jobs;
mod store;

pub use ceremony::{CeremonyId, Challenge, sweep};
pub use config::PasskeyConfig;
pub use entity::{Model as StoredPasskey, PasskeyId};
pub use error::{PROBLEMS, PasskeyError};
pub use flow::{
    Assertion, LoginAnswer, LoginChallenge, Registered, RegistrationAnswer, finish_login, record_use, register, remove,
    rename, start_login, start_registration,
};
pub use jobs::{NotifyPasskeyAdded, NotifyPasskeyCloned, NotifyPasskeyRemoved, SweepPasskeyCeremonies};
pub use store::{find, list};
