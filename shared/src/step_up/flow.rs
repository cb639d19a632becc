//! The use case: proving again who one is.

use sea_orm::DbErr;
use serde_json::json;

use super::StepUpError;
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    fault::FieldError,
    kernel::Kernel,
    password::{self, HashPool},
    rate_limit::{self, Verdict},
    secret::Redacted,
    sessions::{self, Principal, Renewed},
    two_factor::{self, Method, Offer},
    users::UserId,
};

/// What the user offers as proof.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// Their password.
    Password(Redacted<String>),
    /// A second factor.
    Factor(Offer),
    /// Nothing.
    Nothing,
}

/// Renews the proof of identity of a session. Its token is replaced; the old one is refused from now on.
///
/// # Errors
/// When the proof is missing or wrong, there were too many tries, or the session ended meanwhile.
pub async fn reauthenticate(
    kernel: &Kernel,
    hasher: &HashPool,
    client: &Client,
    principal: &Principal,
    evidence: Evidence,
) -> Result<Renewed, StepUpError> {
    match evidence {
        Evidence::Password(password) => with_password(kernel, hasher, client, principal, &password).await,
        Evidence::Factor(offer) => with_factor(kernel, client, principal, &offer).await,
        Evidence::Nothing => Err(rejected("/password", "required", "The password or a code is required.")),
    }
}

async fn with_password(
    kernel: &Kernel,
    hasher: &HashPool,
    client: &Client,
    principal: &Principal,
    password: &Redacted<String>,
) -> Result<Renewed, StepUpError> {
    let user_id = principal.user.id;
    reserve_attempt(kernel, user_id).await?;
    let is_right = is_password(kernel, hasher, user_id, password.expose()).await?;
    let tx = kernel.db.write_tx().await?;
    if !is_right {
        record(kernel, &*tx, client, principal, (Outcome::Failure, "password")).await?;
        tx.commit().await?;
        return Err(rejected("/password", "incorrect_password", "The password is wrong."));
    }
    let renewed = sessions::renew(kernel, &tx, principal, &[]).await?;
    record(kernel, &*tx, client, principal, (Outcome::Success, "password")).await?;
    tx.commit().await?;
    Ok(renewed)
}

/// A second factor shares its count of tries with the two-factor step of a login.
async fn with_factor(
    kernel: &Kernel,
    client: &Client,
    principal: &Principal,
    offer: &Offer,
) -> Result<Renewed, StepUpError> {
    let (user_id, method) = (principal.user.id, offer.method());
    let tx = kernel.db.write_tx().await?;
    if let Some(wait) = two_factor::reserve(kernel, &tx, (user_id, None)).await? {
        return Err(StepUpError::Throttled(wait));
    }
    let verdict = two_factor::verify(kernel, &tx, client, (user_id, principal.session_id.0), offer).await?;
    let Some(amr) = verdict else {
        record(kernel, &*tx, client, principal, (Outcome::Failure, method.as_str())).await?;
        tx.commit().await?;
        let pointer = if method == Method::BackupCode { "/backup_code" } else { "/code" };
        return Err(rejected(pointer, "invalid_code", "The code is wrong."));
    };
    two_factor::forget_attempts(kernel, &tx, (user_id, None)).await?;
    let renewed = sessions::renew(kernel, &tx, principal, amr).await?;
    record(kernel, &*tx, client, principal, (Outcome::Success, method.as_str())).await?;
    tx.commit().await?;
    Ok(renewed)
}

/// Counts the try before anything is verified.
async fn reserve_attempt(kernel: &Kernel, user_id: UserId) -> Result<(), StepUpError> {
    let per_user = user_id.to_string();
    let (now, limit) = (kernel.clock.now(), kernel.config.sessions.reauthenticate_per_user);
    let scope = ("step_up.user", per_user.as_str());
    match rate_limit::check(kernel.db.writer(), &kernel.keys, now, limit, scope).await? {
        Verdict::Allowed => Ok(()),
        Verdict::Denied(wait) => Err(StepUpError::Throttled(wait)),
    }
}

async fn is_password(kernel: &Kernel, hasher: &HashPool, user_id: UserId, password: &str) -> Result<bool, StepUpError> {
    // No stored password is that long; the hash would only cost time.
    if password.len() > kernel.config.password.max_bytes {
        return Ok(false);
    }
    let ticket = hasher.reserve()?;
    let stored = password::find(kernel.db.reader(), user_id).await?;
    Ok(ticket.verify(stored, password).await?.is_right)
}

async fn record<C: sea_orm::ConnectionTrait>(
    kernel: &Kernel,
    db: &C,
    client: &Client,
    principal: &Principal,
    (outcome, method): (Outcome, &str),
) -> Result<(), DbErr> {
    let event = AuditEvent {
        action: "step_up.reauthenticate",
        outcome,
        user_id: Some(principal.user.id.0),
        client: Some(client),
        detail: json!({ "session_id": principal.session_id, "method": method }),
    };
    audit::record(db, kernel.clock.as_ref(), event).await.map(|_| ())
}

fn rejected(pointer: &'static str, code: &'static str, detail: &str) -> StepUpError {
    StepUpError::Rejected(FieldError { pointer, code, detail: detail.to_owned() })
}
