//! Sending mail: where it goes, and how many mails one recipient may get.
//!
//! Rendering and transport live in the workers; this is what gateway and workers must agree on.

mod config;
mod jobs;

pub use config::{MailConfig, MailRoute};
pub use jobs::SendTestMail;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr, Statement, Value};

use crate::{fault::ProblemKind, kernel::Kernel, rate_limit};

/// No mail can be sent, and what was asked for needs one.
pub const EMAIL_NOT_AVAILABLE: ProblemKind = ProblemKind {
    code: "email_not_available",
    status: 503,
    title: "E-mail is not available",
    help: "This installation sends no mail (`mail.url` is `none://`), and the operation needs one.",
};

/// The kinds of this module.
pub const PROBLEMS: &[&ProblemKind] = &[&EMAIL_NOT_AVAILABLE];

/// Counts one mail to `recipient` (a normalised address) and says whether it is within the recipient's budget.
///
/// # Errors
/// When the database fails.
pub async fn within_budget<C: ConnectionTrait>(db: &C, kernel: &Kernel, recipient: &str) -> Result<bool, DbErr> {
    let now = kernel.clock.now();
    for (scope, limit) in [
        ("mail.recipient", kernel.config.mail.per_recipient),
        ("mail.recipient_long", kernel.config.mail.per_recipient_long),
    ] {
        if !rate_limit::check(db, &kernel.keys, now, limit, (scope, recipient)).await?.is_allowed() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How long no mail goes to a recipient whose server refused one for good.
pub const SUPPRESSION: Duration = Duration::from_hours(24);

/// What the ledger keeps in place of an address.
#[must_use]
pub fn recipient_hash(kernel: &Kernel, recipient: &str) -> Vec<u8> {
    kernel.keys.blind("mail_recipient", &[recipient.as_bytes()]).to_vec()
}

/// As a condition: the server of the recipient of [`suppression_of`], which is `$1` and `$2`, refused a mail for good lately.
pub const IS_SUPPRESSED: &str =
    "EXISTS (SELECT 1 FROM mail_deliveries WHERE recipient_hash = $1 AND state = 'rejected' AND created_at > $2)";

/// The values of [`IS_SUPPRESSED`] for a normalised address.
#[must_use]
pub fn suppression_of(kernel: &Kernel, recipient: &str) -> [Value; 2] {
    [recipient_hash(kernel, recipient).into(), (kernel.clock.now() - SUPPRESSION).0.into()]
}

/// Whether the server of `recipient` (a normalised address) refused a mail for good lately.
///
/// # Errors
/// When the database fails.
pub async fn is_suppressed<C: ConnectionTrait>(db: &C, kernel: &Kernel, recipient: &str) -> Result<bool, DbErr> {
    let sql = format!("SELECT 1 AS one WHERE {IS_SUPPRESSED}");
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, suppression_of(kernel, recipient));
    db.query_one_raw(statement).await.map(|row| row.is_some())
}
