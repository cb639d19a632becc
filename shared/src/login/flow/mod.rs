//! Use cases of a login: the password, and the mailed code or link.

mod email_mfa;
mod session;
mod start;

pub use email_mfa::{Completion, EmailProof, LoginCodeMail, complete_email_mfa, login_code_mail, resend_email_mfa};
pub use session::SignedIn;
pub use start::{Attempt, Context, Outcome, PendingStep, start};
