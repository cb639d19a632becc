//! Accepting a batch: events, facts, warnings and the job are rows of the caller's transaction.

use std::{
    borrow::{Borrow, Cow},
    collections::{BTreeMap, BTreeSet, HashMap},
};

use hmac::{Hmac, Mac};
use sea_orm::{ConnectionTrait, DbErr, Statement, Value};
use serde_json::{Map, Value as Json, json};
use sha2::Sha256;
use uuid::Uuid;

use super::{
    Accepted, ApplyFacts, CapturedEvent,
    event::{Warning, WarningKind},
    fact::{self, Changes, Deed, Fact, Moment, Reading},
    store,
};
use crate::{
    audit::Outcome,
    clock::Timestamp,
    db::{Tx, numbered, portions},
    jobs,
    kernel::Kernel,
    orgs::{self, Actor, By, Permission},
    projects::{self, Project, ProjectError, ProjectId},
    secret::{self, Redacted},
};

/// Facts that one job carries.
const FACTS_PER_JOB: usize = 200;

/// Events that have to be proven.
const MERGES: [&str; 2] = ["$identify", "$create_alias"];
/// The property with the proof: `HMAC-SHA256(secret, distinct_id)`, in hexadecimal digits.
const PROOF: &str = "$identity_hash";

/// The first use of an id: the id, and whether it was personless.
type Use = (String, bool);

/// Writes a batch of events with their facts, warnings and job; an event whose uuid is known changes nothing.
///
/// # Errors
/// When the database fails; the transaction is of no use then.
pub async fn accept<E>(kernel: &Kernel, tx: &Tx, project: &Project, events: Vec<E>) -> Result<Accepted, DbErr>
where
    E: Borrow<CapturedEvent> + Send + Sync,
{
    store::plan_anew(tx).await?;
    let (mut kept, mut refused, mut warnings) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    let proof = if events.iter().any(|event| needs_proof(event.borrow())) {
        verification(kernel, &**tx, project.id).await?
    } else {
        None
    };
    for event in events {
        let mut reading = fact::read(event.borrow());
        if let Some(proof) = proof.as_ref().map(|(secret, _)| secret).filter(|_| needs_proof(event.borrow())) {
            disprove(event.borrow(), &mut reading, proof);
        }
        let Reading { fact, is_remarkable, warnings: mut about } = reading;
        let uuid = event.borrow().uuid;
        let is_first = !kept.contains_key(&uuid);
        match fact {
            Some(fact) if is_first => drop(kept.insert(uuid, (event, fact, is_remarkable))),
            Some(_) => {}
            None => drop(refused.insert(uuid)),
        }
        warnings.append(&mut about);
    }
    let fresh = insert_events(tx, project.id, &kept).await?;
    let duplicates = kept.len() - fresh.len();
    kept.retain(|uuid, _| fresh.contains(uuid));
    let readings = kept.into_values().map(|(_, fact, is_remarkable)| (fact, is_remarkable)).collect();
    let facts = choose(tx, project.id, readings).await?;
    insert_warnings(tx, project.id, &warnings).await?;
    insert_facts(tx, project.id, &facts).await?;
    enqueue(kernel, tx, project.id, facts.iter().map(|fact| fact.uuid).collect()).await?;
    Ok(Accepted { stored: fresh.len(), duplicates, refused: refused.len() })
}

/// Asks for proofs: from now on `$identify` and `$create_alias` of the project merge and change properties only with one
/// that is made of the secret that this returns. Asked for again, it returns the same secret.
///
/// # Errors
/// When the role does not allow it, or the database fails.
pub async fn require_verification(
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
    let (secret, since) = verification(kernel, &*tx, project_id).await?.ok_or(ProjectError::NotFound)?;
    let detail = json!({ "project_id": project_id });
    orgs::record(kernel, &tx, by, project.organization_id, (ACTION, Outcome::Success, detail)).await?;
    tx.commit().await?;
    Ok((secret, since))
}

/// Asks for no proofs any more; the secret is worth nothing from now on.
///
/// # Errors
/// When the role does not allow it, or the database fails.
pub async fn waive_verification(kernel: &Kernel, by: By<'_>, project_id: ProjectId) -> Result<(), ProjectError> {
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
pub async fn verification_required_since(
    kernel: &Kernel,
    actor: &Actor,
    project_id: ProjectId,
) -> Result<Option<Timestamp>, ProjectError> {
    let db = kernel.db.reader();
    projects::require(db, actor, project_id, Permission::View).await?;
    Ok(verification(kernel, db, project_id).await?.map(|(_, since)| since))
}

/// The secret that identities are proven with, and since when, if the project asks for proofs. It is derived from a key of
/// the installation, the project and that moment, and rests nowhere: asked for anew after an end, it is another one.
async fn verification<C: ConnectionTrait>(
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
fn needs_proof(event: &CapturedEvent) -> bool {
    MERGES.contains(&event.event.as_str()) && !event.may_merge_dangerously
}

/// Leaves of a merge that is not proven only that its id was used.
fn disprove(event: &CapturedEvent, reading: &mut Reading, proof: &Redacted<String>) {
    let given = event.properties.get(PROOF).and_then(Json::as_str).unwrap_or_default();
    let is_proven = identity_hash(proof, &event.distinct_id)
        .is_some_and(|right| secret::equal(right.as_bytes(), given.to_ascii_lowercase().as_bytes()));
    if let Some(fact) = reading.fact.as_mut().filter(|_| !is_proven) {
        (fact.deed, fact.changes, reading.is_remarkable) = (Deed::Set, Changes::default(), false);
        reading.warnings.push(Warning::of(WarningKind::NotVerified, event));
    }
}

/// Properties as they are stored: who reads events learns no proof.
fn without_proof(properties: &Map<String, Json>) -> Cow<'_, Map<String, Json>> {
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

/// Enqueues the application of facts.
pub(super) async fn enqueue(kernel: &Kernel, tx: &Tx, project_id: ProjectId, fact_ids: Vec<Uuid>) -> Result<(), DbErr> {
    for fact_ids in fact_ids.chunks(FACTS_PER_JOB) {
        let job = ApplyFacts { project_id, fact_ids: fact_ids.to_vec(), is_oversized: false };
        jobs::enqueue(tx, kernel.clock.as_ref(), &job).await?;
    }
    Ok(())
}

/// Inserts events; returns the uuids of those that were not there before.
async fn insert_events<E>(
    tx: &Tx,
    project_id: ProjectId,
    kept: &BTreeMap<Uuid, (E, Fact, bool)>,
) -> Result<BTreeSet<Uuid>, DbErr>
where
    E: Borrow<CapturedEvent> + Send + Sync,
{
    let (engine, mut fresh) = (tx.get_database_backend(), BTreeSet::new());
    let mut events: Vec<[Value; 8]> = Vec::with_capacity(kept.len());
    for (event, fact, _) in kept.values() {
        let event: &CapturedEvent = event.borrow();
        let properties = without_proof(&event.properties);
        let properties = serde_json::to_string(&*properties).map_err(|err| DbErr::Custom(err.to_string()))?;
        events.push([
            project_id.0.into(),
            event.uuid.into(),
            event.event.clone().into(),
            event.distinct_id.clone().into(),
            event.at.0.into(),
            event.received_at.0.into(),
            (fact.deed == Deed::Personless).into(),
            properties.into(),
        ]);
    }
    for events in portions(engine, events) {
        let sql = format!(
            "INSERT INTO events (project_id, uuid, event, distinct_id, at, received_at, is_personless, properties)
             VALUES {} ON CONFLICT DO NOTHING RETURNING uuid",
            store::rows(events.len(), 8)
        );
        for row in tx.query_all_raw(numbered(engine, sql, events.into_iter().flatten())).await? {
            fresh.insert(row.try_get("", "uuid")?);
        }
    }
    Ok(fresh)
}

/// The facts among what was read: all that is remarkable, and the first use of each id.
async fn choose(tx: &Tx, project_id: ProjectId, readings: Vec<(Fact, bool)>) -> Result<Vec<Fact>, DbErr> {
    let mut first: BTreeMap<Use, Moment> = BTreeMap::new();
    for (fact, _) in &readings {
        let moment = first.entry(use_of(fact)).or_insert(fact.moment());
        *moment = fact.moment().min(*moment);
    }
    let ids: BTreeSet<&str> = first.keys().map(|(id, _)| id.as_str()).collect();
    let known = known_uses(tx, project_id, &ids).await?;
    let is_earlier = |used: &Use, moment: &Moment| known.get(used).is_none_or(|known| *moment < *known);
    let tombstones = if first.iter().any(|(used, moment)| is_earlier(used, moment)) {
        store::tombstones(tx, project_id, &ids).await?
    } else {
        HashMap::new()
    };
    // What a deleted person did is no use: the id begins anew after it.
    let is_alive = |(id, _): &Use, (at, _): &Moment| tombstones.get(id).is_none_or(|until| *at > *until);
    let first: BTreeMap<Use, Moment> = first
        .iter()
        .filter(|(used, moment)| is_earlier(used, moment) && is_alive(used, moment))
        .map(|(used, moment)| (used.clone(), *moment))
        .collect();
    insert_uses(tx, project_id, &first).await?;
    let is_fact = |(fact, is_remarkable): &(Fact, bool)| {
        *is_remarkable || first.get(&use_of(fact)).is_some_and(|moment| *moment == fact.moment())
    };
    Ok(readings.into_iter().filter(is_fact).map(|(fact, _)| fact).collect())
}

fn use_of(fact: &Fact) -> Use {
    (fact.distinct_id.clone(), fact.deed == Deed::Personless)
}

async fn known_uses(tx: &Tx, project_id: ProjectId, ids: &BTreeSet<&str>) -> Result<HashMap<Use, Moment>, DbErr> {
    let mut known = HashMap::new();
    for ids in store::chunks(ids) {
        let sql = format!(
            "SELECT distinct_id, is_personless, at, uuid FROM distinct_id_uses
             WHERE project_id = $1 AND distinct_id IN ({})",
            store::places(2, ids.len())
        );
        for row in store::query_ids(tx, sql, project_id, &ids).await? {
            let used = (row.try_get("", "distinct_id")?, row.try_get("", "is_personless")?);
            known.insert(used, (Timestamp(row.try_get("", "at")?), row.try_get("", "uuid")?));
        }
    }
    Ok(known)
}

/// Records earlier first uses. The keys are sorted, so that two batches wait for one another in the same order.
async fn insert_uses(tx: &Tx, project_id: ProjectId, uses: &BTreeMap<Use, Moment>) -> Result<(), DbErr> {
    let engine = tx.get_database_backend();
    let row = |((id, is_personless), (at, uuid)): (&Use, &Moment)| -> [Value; 5] {
        [project_id.0.into(), id.clone().into(), (*is_personless).into(), at.0.into(), (*uuid).into()]
    };
    for uses in portions(engine, uses.iter().map(row).collect()) {
        let sql = format!(
            "INSERT INTO distinct_id_uses (project_id, distinct_id, is_personless, at, uuid) VALUES {}
             ON CONFLICT (project_id, distinct_id, is_personless) DO UPDATE SET at = excluded.at, uuid = excluded.uuid
             WHERE excluded.at < distinct_id_uses.at
                OR (excluded.at = distinct_id_uses.at AND excluded.uuid < distinct_id_uses.uuid)",
            store::rows(uses.len(), 5)
        );
        tx.execute_raw(numbered(engine, sql, uses.into_iter().flatten())).await?;
    }
    Ok(())
}

/// Inserts facts that are to be applied.
pub(super) async fn insert_facts(tx: &Tx, project_id: ProjectId, facts: &[Fact]) -> Result<(), DbErr> {
    let engine = tx.get_database_backend();
    let row = |fact: &Fact| -> [Value; 8] {
        let changes = if fact.changes.is_empty() { None } else { serde_json::to_string(&fact.changes).ok() };
        [
            project_id.0.into(),
            fact.uuid.into(),
            store::kind(&fact.deed).into(),
            fact.at.0.into(),
            fact.distinct_id.clone().into(),
            fact.other().map(str::to_owned).into(),
            changes.into(),
            false.into(),
        ]
    };
    for facts in portions(engine, facts.iter().map(row).collect()) {
        let sql = format!(
            "INSERT INTO person_facts (project_id, uuid, kind, at, distinct_id, other, changes, is_applied)
             VALUES {} ON CONFLICT DO NOTHING",
            store::rows(facts.len(), 8)
        );
        tx.execute_raw(numbered(engine, sql, facts.into_iter().flatten())).await?;
    }
    Ok(())
}

/// Inserts warnings that are not there yet. They are sorted, as the uses of ids are.
pub(super) async fn insert_warnings(tx: &Tx, project_id: ProjectId, warnings: &[Warning]) -> Result<(), DbErr> {
    let by_id: BTreeMap<Uuid, &Warning> =
        warnings.iter().rev().map(|warning| (warning.id(project_id), warning)).collect();
    let engine = tx.get_database_backend();
    let row = |(id, warning): (Uuid, &Warning)| -> [Value; 7] {
        [
            id.into(),
            project_id.0.into(),
            warning.kind.as_str().into(),
            Some(warning.event_uuid).into(),
            warning.distinct_id.clone().into(),
            warning.detail.to_string().into(),
            warning.at.0.into(),
        ]
    };
    for warnings in portions(engine, by_id.into_iter().map(row).collect()) {
        let sql = format!(
            "INSERT INTO ingestion_warnings (id, project_id, kind, event_uuid, distinct_id, detail, at)
             VALUES {} ON CONFLICT DO NOTHING",
            store::rows(warnings.len(), 7)
        );
        tx.execute_raw(numbered(engine, sql, warnings.into_iter().flatten())).await?;
    }
    Ok(())
}
