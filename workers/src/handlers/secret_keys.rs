//! Notices about secret keys of projects.

use serde_json::{Value, json};
use shared::secret_keys::{self, NotifySecretKeyExposed};

use super::notice;
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells one who manages the organization that a key was found where it must not be. It cannot be switched off.
pub async fn notify_exposed(ctx: &Context, job: NotifySecretKeyExposed) -> Result<Option<Mail>, JobError> {
    let found = secret_keys::exposed_notice(&ctx.kernel, &job).await?;
    Ok(found.map(|exposed| {
        notice::mail(ctx, "secret_keys/exposed", (&exposed.user, &exposed.event), |detail| {
            json!({
                "label": exposed.key.label,
                "project": exposed.project.name,
                // That of the time of the report: the key may have been rolled since.
                "mask": detail.get("mask").and_then(Value::as_str).unwrap_or(&exposed.key.mask),
                "found_at": detail.get("found_at").and_then(Value::as_str).unwrap_or_default(),
            })
        })
    }))
}
