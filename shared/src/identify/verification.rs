//! Proofs of identity: a project may want to know that who is identified is who its own server says.
//!
//! ```text
//! project's server ── HMAC-SHA256(verification secret, distinct_id) ──► its page ── `$identity_hash` ──► accept
//! ```
//!
//! The secret is derived from a key of the installation, the project and the moment at which it asked for proofs, and rests
//! nowhere: asking again gives the same one, and asking anew after an end gives another. Events that come with a secret
//! key of the project need no proof.

use std::borrow::Cow;

use hmac::{Hmac, Mac};
use sea_orm::{ConnectionTrait, DbErr, Statement, Value};
use serde_json::{Map, json};
use sha2::Sha256;

use super::{
    CapturedEvent,
    event::{Warning, WarningKind},
    fact::{Changes, Deed, Reading},
};
use crate::{
    audit::Outcome,
    clock::Timestamp,
    kernel::Kernel,
    orgs::{self, Actor, By, Permission},
    projects::{self, ProjectError, ProjectId},
    secret::{self, Redacted},
};

/// Events that have to be proven.
const MERGES: [&str; 2] = ["$identify", "$create_alias"];
/// The property with the proof: `HMAC-SHA256(secret, distinct_id)`, in hexadecimal digits.
const PROOF: &str = "$identity_hash";

/// Asks for proofs: from now on `$identify` and `$create_alias` of the project merge and change properties only with one
/// that is made of the secret that this returns. Asked for again, it returns the same secret.
///
/// # Errors
/// When the role does not allow it, or the database fails.
pub async fn require(
    kernel: &Kernel,
    by: By<'_>,
    project_id: ProjectId,
) -> Result<(Redacted<String>, Timestamp), ProjectError> {
    const ACTION: &str = "identify.require_verification";
    let (tx, project) = projects::enter(kernel, by, project_id, (Permission::ManageProjects, ACTION)).await?;
    let sql = "INSERT INTO identify_verifications (project_id, key_id, created_at) VALUES ($1, $2, $3)
               ON CONFLICT DO NOTHING";
    let key_id = kernel.keys.current().to_owned();
    let values: [Value; 3] = [project_id.0.into(), key_id.into(), kernel.clock.now().0.into()];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    let (secret, since) = find(kernel, &*tx, project_id).await?.ok_or(ProjectError::NotFound)?;
    let detail = json!({ "project_id": project_id });
    orgs::record(kernel, &tx, by, project.organization_id, (ACTION, Outcome::Success, detail)).await?;
    tx.commit().await?;
    Ok((secret, since))
}

/// Asks for no proofs any more; the secret is worth nothing from now on.
///
/// # Errors
/// When the role does not allow it, or the database fails.
pub async fn waive(kernel: &Kernel, by: By<'_>, project_id: ProjectId) -> Result<(), ProjectError> {
    const ACTION: &str = "identify.waive_verification";
    let (tx, project) = projects::enter(kernel, by, project_id, (Permission::ManageProjects, ACTION)).await?;
    let sql = "DELETE FROM identify_verifications WHERE project_id = $1";
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, [project_id.0.into()])).await?;
    let detail = json!({ "project_id": project_id });
    orgs::record(kernel, &tx, by, project.organization_id, (ACTION, Outcome::Success, detail)).await?;
    tx.commit().await?;
    Ok(())
}

/// Since when the project asks for proofs, if it does.
///
/// # Errors
/// When the project is out of the actor's reach, or the database fails.
pub async fn required_since(
    kernel: &Kernel,
    actor: &Actor,
    project_id: ProjectId,
) -> Result<Option<Timestamp>, ProjectError> {
    let db = kernel.db.reader();
    projects::require(db, actor, project_id, Permission::View).await?;
    Ok(find(kernel, db, project_id).await?.map(|(_, since)| since))
}

/// The secret that identities are proven with, if the project asks for it.
pub(super) async fn secret<C: ConnectionTrait>(
    kernel: &Kernel,
    db: &C,
    project_id: ProjectId,
) -> Result<Option<Redacted<String>>, DbErr> {
    Ok(find(kernel, db, project_id).await?.map(|(secret, _)| secret))
}

async fn find<C: ConnectionTrait>(
    kernel: &Kernel,
    db: &C,
    project_id: ProjectId,
) -> Result<Option<(Redacted<String>, Timestamp)>, DbErr> {
    let sql = "SELECT key_id, created_at FROM identify_verifications WHERE project_id = $1";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [project_id.0.into()]);
    let Some(row) = db.query_one_raw(statement).await? else { return Ok(None) };
    let (key_id, since): (String, i64) = (row.try_get("", "key_id")?, row.try_get("", "created_at")?);
    let parts: [&[u8]; 2] = [project_id.0.as_bytes(), &since.to_be_bytes()];
    let derived = kernel.keys.derive(&key_id, "identify.verification", &parts);
    // Without the key nothing can be proven: nothing is.
    let secret = Redacted::new(hexadecimal(&derived.unwrap_or_else(secret::random_bytes)));
    Ok(Some((secret, Timestamp(since))))
}

/// Whether an event has to be proven where a project asks for it.
pub(super) fn concerns(event: &CapturedEvent) -> bool {
    MERGES.contains(&event.event.as_str()) && !event.may_merge_dangerously
}

/// Leaves of a merge that is not proven only that its id was used.
pub(super) fn disprove(event: &CapturedEvent, reading: &mut Reading, proof: &Redacted<String>) {
    let given = event.properties.get(PROOF).and_then(serde_json::Value::as_str).unwrap_or_default();
    let is_proven = identity_hash(proof, &event.distinct_id)
        .is_some_and(|right| secret::equal(right.as_bytes(), given.to_ascii_lowercase().as_bytes()));
    if let Some(fact) = reading.fact.as_mut().filter(|_| !is_proven) {
        (fact.deed, fact.changes, reading.is_remarkable) = (Deed::Set, Changes::default(), false);
        reading.warnings.push(Warning::of(WarningKind::NotVerified, event));
    }
}

/// Properties as they are stored: who reads events learns no proof.
pub(super) fn without_proof(properties: &Map<String, serde_json::Value>) -> Cow<'_, Map<String, serde_json::Value>> {
    let mut properties = Cow::Borrowed(properties);
    if properties.contains_key(PROOF) {
        properties.to_mut().remove(PROOF);
    }
    properties
}

/// What proves an id to a project that asks for it: `HMAC-SHA256(secret, distinct_id)` in hexadecimal digits, where the
/// secret is that text's bytes.
#[must_use]
pub fn identity_hash(verification_secret: &Redacted<String>, distinct_id: &str) -> Option<String> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(verification_secret.expose().as_bytes()).ok()?;
    mac.update(distinct_id.as_bytes());
    Some(hexadecimal(&mac.finalize().into_bytes()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
