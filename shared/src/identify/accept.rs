//! Accepting a batch: events, facts, warnings and the job are rows of the caller's transaction.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use sea_orm::{ConnectionTrait, DbErr, Statement, Value};
use uuid::Uuid;

use super::{
    Accepted, ApplyFacts, CapturedEvent,
    event::Warning,
    fact::{self, Deed, Fact, Moment, Reading},
    store, verification,
};
use crate::{
    clock::Timestamp,
    db::Tx,
    jobs,
    kernel::Kernel,
    projects::{Project, ProjectId},
};

/// Rows that one statement inserts.
const ROWS: usize = 1_000;
/// Facts that one job carries.
const FACTS_PER_JOB: usize = 200;

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
    let (mut kept, mut refused, mut warnings) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    let proof = if events.iter().any(|event| verification::concerns(event.borrow())) {
        verification::secret(kernel, &**tx, project.id).await?
    } else {
        None
    };
    for event in events {
        let mut reading = fact::read(event.borrow());
        if let Some(proof) = proof.as_ref().filter(|_| verification::concerns(event.borrow())) {
            verification::disprove(event.borrow(), &mut reading, proof);
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
    let mut fresh = BTreeSet::new();
    let all: Vec<_> = kept.values().collect();
    for events in all.chunks(ROWS) {
        let mut values: Vec<Value> = Vec::with_capacity(events.len() * 8);
        for (event, fact, _) in events {
            let event: &CapturedEvent = event.borrow();
            let properties = verification::without_proof(&event.properties);
            let properties = serde_json::to_string(&*properties).map_err(|err| DbErr::Custom(err.to_string()))?;
            values.extend::<[Value; 8]>([
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
        let sql = format!(
            "INSERT INTO events (project_id, uuid, event, distinct_id, at, received_at, is_personless, properties)
             VALUES {} ON CONFLICT DO NOTHING RETURNING uuid",
            store::rows(events.len(), 8)
        );
        for row in tx.query_all_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await? {
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
    let all: Vec<_> = uses.iter().collect();
    for uses in all.chunks(ROWS) {
        let values: Vec<Value> = uses
            .iter()
            .flat_map(|((id, is_personless), (at, uuid))| -> [Value; 5] {
                [project_id.0.into(), id.clone().into(), (*is_personless).into(), at.0.into(), (*uuid).into()]
            })
            .collect();
        let sql = format!(
            "INSERT INTO distinct_id_uses (project_id, distinct_id, is_personless, at, uuid) VALUES {}
             ON CONFLICT (project_id, distinct_id, is_personless) DO UPDATE SET at = excluded.at, uuid = excluded.uuid
             WHERE excluded.at < distinct_id_uses.at
                OR (excluded.at = distinct_id_uses.at AND excluded.uuid < distinct_id_uses.uuid)",
            store::rows(uses.len(), 5)
        );
        tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    }
    Ok(())
}

/// Inserts facts that are to be applied.
pub(super) async fn insert_facts(tx: &Tx, project_id: ProjectId, facts: &[Fact]) -> Result<(), DbErr> {
    for facts in facts.chunks(ROWS) {
        let mut values: Vec<Value> = Vec::with_capacity(facts.len() * 8);
        for fact in facts {
            let changes = if fact.changes.is_empty() { None } else { serde_json::to_string(&fact.changes).ok() };
            values.extend::<[Value; 8]>([
                project_id.0.into(),
                fact.uuid.into(),
                store::kind(&fact.deed).into(),
                fact.at.0.into(),
                fact.distinct_id.clone().into(),
                fact.other().map(str::to_owned).into(),
                changes.into(),
                false.into(),
            ]);
        }
        let sql = format!(
            "INSERT INTO person_facts (project_id, uuid, kind, at, distinct_id, other, changes, is_applied)
             VALUES {} ON CONFLICT DO NOTHING",
            store::rows(facts.len(), 8)
        );
        tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    }
    Ok(())
}

/// Inserts warnings that are not there yet. They are sorted, as the uses of ids are.
pub(super) async fn insert_warnings(tx: &Tx, project_id: ProjectId, warnings: &[Warning]) -> Result<(), DbErr> {
    let by_id: BTreeMap<Uuid, &Warning> =
        warnings.iter().rev().map(|warning| (warning.id(project_id), warning)).collect();
    for warnings in by_id.into_iter().collect::<Vec<_>>().chunks(ROWS) {
        let values: Vec<Value> = warnings
            .iter()
            .flat_map(|(id, warning)| -> [Value; 7] {
                [
                    (*id).into(),
                    project_id.0.into(),
                    warning.kind.as_str().into(),
                    Some(warning.event_uuid).into(),
                    warning.distinct_id.clone().into(),
                    warning.detail.to_string().into(),
                    warning.at.0.into(),
                ]
            })
            .collect();
        let sql = format!(
            "INSERT INTO ingestion_warnings (id, project_id, kind, event_uuid, distinct_id, detail, at)
             VALUES {} ON CONFLICT DO NOTHING",
            store::rows(warnings.len(), 7)
        );
        tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    }
    Ok(())
}
