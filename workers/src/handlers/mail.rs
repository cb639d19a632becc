//! The operator's test mail.

use serde_json::json;
use shared::mail::SendTestMail;

use crate::{context::Context, mail::Mail, registry::JobError};

/// Sends the test mail of `gatepost doctor`.
pub async fn send_test_mail(_ctx: &Context, job: SendTestMail) -> Result<Option<Mail>, JobError> {
    Ok(Some(Mail::new("mail/test_mail", &job.to, json!({}))))
}
