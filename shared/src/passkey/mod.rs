//! Passkeys: WebAuthn credentials that sign a user in without a password.
//!
//! ```text
//! add     start ─► challenge ─► register(attestation) ─► challenge of the new key ─► register(assertion) ─► row + mail
//! login   start ─► challenge, of nobody ─► claim_login ─► owner by credential id ─► `login` counts the try of the owner
//!             ─► prove: handle equal to the owner's, assertion ─► `record_use` and the session in one transaction
//! factor  start ─► challenge, of one user and one pending login ─► verify_second_factor, in that login's transaction
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
pub use error::{LAST_LOGIN_METHOD, PROBLEMS, PasskeyError};
pub use flow::{
    Assertion, Claim, Claimed, LoginAnswer, LoginChallenge, Refused, Registered, RegistrationAnswer,
    SecondFactorAnswer, claim_login, lock_count, prove, record_refusal, record_use, register, remove, rename,
    start_login, start_registration, start_second_factor, verify_second_factor,
};
pub use jobs::{NotifyPasskeyAdded, NotifyPasskeyCloned, NotifyPasskeyRemoved, SweepPasskeyCeremonies};
pub use store::{EXIST, exist, find, list, remove_all};
