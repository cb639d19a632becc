//! Mails and garbage collection of address verification.

use serde_json::json;
use shared::{
    db::Tx,
    email_verification::{self, SendVerification, SweepVerifications},
};

use super::{RETENTION, SWEEP_BATCH, phrases};
use crate::{context::Context, mail::Mail, registry::JobError};

/// Mails link and code to the address that is to be proven; nothing once the verification is void.
pub async fn send_verification(ctx: &Context, job: SendVerification) -> Result<Option<Mail>, JobError> {
    let found = email_verification::verification_mail(&ctx.kernel, job.verification_id).await?;
    let config = &ctx.kernel.config.email_verification;
    Ok(found.map(|mail| {
        let context = json!({
            "name": phrases::name(&mail.user),
            "code": mail.code,
            "link": phrases::link(&ctx.kernel, "/verify_email", Some(&mail.token)),
            "code_minutes": config.code_seconds / 60,
            "expires_hours": config.link_seconds / 3600,
            "is_change": mail.is_change,
        });
        Mail::new("email_verification/verify", &mail.to, context)
    }))
}

/// Deletes verifications that expired long ago.
pub async fn sweep_verifications(ctx: &Context, tx: &Tx, _job: SweepVerifications) -> Result<(), JobError> {
    email_verification::sweep(&**tx, ctx.kernel.clock.now() - RETENTION, SWEEP_BATCH).await?;
    Ok(())
}
