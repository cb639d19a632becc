//! Proofs of domains: whether they still stand, and what is told when one is gone.

use serde_json::json;
use shared::domains::{self, NotifyProofLost, SweepProofs};

use super::phrases;
use crate::{
    context::Context,
    mail::Mail,
    registry::{Effect, JobError},
};

/// Tells one who manages the organization that the proof of a domain is gone.
pub async fn notify_proof_lost(ctx: &Context, job: NotifyProofLost) -> Result<Option<Mail>, JobError> {
    let found = domains::lost_mail(&ctx.kernel, &job).await?;
    Ok(found.map(|lost| {
        let context = json!({
            "name": phrases::name(&lost.admin),
            "organization": lost.organization.name,
            "domain": lost.domain.domain,
            "record": lost.domain.record_name(),
            "challenge": lost.domain.challenge,
            "enforces_sso": lost.domain.sso_enforcement.is_some(),
            "time_utc": phrases::time_utc(lost.event.at),
        });
        Mail::new("domains/proof_lost", &lost.admin.email, context)
    }))
}

/// Asks the name servers of domains that are due, and writes what they said.
pub async fn sweep_proofs(ctx: &Context, job: SweepProofs) -> Result<Effect, JobError> {
    let findings = domains::look(&ctx.kernel, job.after_id).await?;
    Ok(Box::new(move |ctx, tx| {
        Box::pin(async move { Ok(domains::settle(&ctx.kernel, tx, job.window, findings).await?) })
    }))
}
