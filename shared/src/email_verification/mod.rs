//! E-mail verification: proof that an address is read by the user who claims it.
//!
//! ```text
//! sign-up | resend | login while unverified ──► start ──► row + SendVerification, one transaction
//! PATCH e-mail ──► start_change ──► the same, for the new address; an earlier change is cancelled
//! worker ── verification_mail ──► derives link and code ──► mail to the address in question, and only there
//! POST /api/email_verification/confirm ── confirm_link | confirm_code ──► spent, address proven; never a session
//! ```
//!
//! Invariants: a code and a link are good for one address; a code dies after its tries, the link after a day; proof never
//! signs anyone in; the password of a repeated sign-up takes effect with the link of that same sign-up and not before.

mod config;
mod entity;
mod error;
mod flow;
mod jobs;
mod store;

pub use config::EmailVerificationConfig;
pub use entity::VerificationId;
pub use error::{EmailVerificationError, PROBLEMS};
pub use flow::{
    ChangedAddresses, Confirmed, VerificationMail, cancel_all, changed_addresses, confirm_code, confirm_link, resend,
    start, start_change, verification_mail,
};
pub use jobs::{SendVerification, SweepVerifications};
pub use store::sweep;
