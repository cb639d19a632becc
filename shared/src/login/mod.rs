//! Login: the order of checks between an address with a password and a session.
//!
//! ```text
//! start ── domain demands a provider ─────────────────────────────► sso_enforced
//!       ── too many attempts ─────────────────────────────────────► throttled
//!       ── wrong, unknown, disabled ──────────────────────────────► invalid_credentials, the same in every byte
//!       ── address unproven ──────────────────────────────────────► email_verification_required + mail
//!       ── second factor enrolled, device not trusted for it ─────► two_factor_required, pending row
//!       ── same user on a live session | trusted device | bypass ─► session
//!       ── no mail can reach the user ────────────────────────────► email_not_available
//!       ── otherwise ─────────────────────────────────────────────► pending row + mail
//! pending ── app | passkey | backup code, from the client that began ──► session with two factors
//! pending ── code | link, from the browser that began ──► session
//!         ── expired | epoch moved | too many tries ──► dead
//! provider ── no such user, and none to be made ► refused ── domain demands another one ► sso_enforced ── disabled ► refused
//!          ── second factor enrolled, device not trusted for it ► two_factor_required ── otherwise ► session
//! passkey ── owner failed too often ► locked ── not verified | owner disabled ► invalid_passkey
//!         ── owner's domain ► sso_enforced ── otherwise ► session
//! ```
//!
//! What comes next is decided by [`step::next`], a pure function over what is known. A pending login is a row with an
//! explicit state, bound to the client that began it; a try is counted before it is compared; finishing is one
//! conditional update.

mod config;
mod entity;
mod error;
mod flow;
mod jobs;
pub mod step;
mod store;

pub use config::LoginConfig;
pub use entity::LoginId;
pub use error::{LOGIN_EXPIRED, LOGIN_NOT_FOUND, LoginError, PROBLEMS, TOO_MANY_ATTEMPTS};
pub use flow::{
    AnonymousClaim, Attempt, Completion, Context, EmailProof, LoginCodeMail, Outcome, PendingStep, SignedIn,
    TwoFactorCompletion, TwoFactorStep, complete_email_mfa, complete_two_factor, finish_passkey, finish_social,
    login_code_mail, resend_email_mfa, start, start_two_factor_passkey, two_factor_methods,
};
pub use jobs::SweepLogins;
pub use store::sweep;
