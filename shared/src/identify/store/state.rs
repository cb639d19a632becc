//! Loading and saving the part of the world that facts look at.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use super::{IDS, chunks, places, query_ids, rows, tombstones};
use crate::{
    clock::Timestamp,
    db::{Tx, numbered, portions},
    identify::merge::{Known, Person, State},
    projects::ProjectId,
};

/// Ids that one statement moves.
const MOVED: usize = 5_000;
/// How often ids are looked up again whose persons changed while they were being locked.
const TRIES: usize = 64;

/// What is known of these ids and their persons, which nobody else changes until the transaction ends. Several parts are
/// never loaded one after the other: who holds one and waits for another waits in a circle. The first is to be given back
/// with [`unload`].
pub(in crate::identify) async fn load(tx: &Tx, project_id: ProjectId, ids: &BTreeSet<&str>) -> Result<State, DbErr> {
    let mut state = State::of(project_id);
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared("SAVEPOINT locks").await?;
        (state.ids, state.persons) = lock(tx, project_id, ids).await?;
    } else {
        state.ids = known(tx, project_id, ids).await?;
        state.persons = persons(tx, &persons_of(&state.ids), "").await?;
    }
    for id in ids {
        state.ids.entry((*id).to_owned()).or_default();
    }
    for (id, until) in tombstones(tx, project_id, ids).await? {
        state.ids.entry(id).or_default().buried = Some(until);
    }
    Ok(state)
}

/// Gives back what the last [`load`] locked. Nothing may have been written since.
pub(in crate::identify) async fn unload(tx: &Tx) -> Result<(), DbErr> {
    if tx.get_database_backend() == DbBackend::Postgres {
        // Locks go with the savepoint that they were taken after.
        tx.execute_unprepared("ROLLBACK TO SAVEPOINT locks").await?;
    }
    Ok(())
}

type Ids = BTreeMap<String, Known>;
type Persons = BTreeMap<Uuid, Person>;

fn persons_of(ids: &Ids) -> BTreeSet<Uuid> {
    ids.values().filter_map(|known| known.person).collect()
}

/// Locks ids and persons. When a merge that was under way has moved ids meanwhile, all locks are given back before the next
/// try: a lock that is taken out of turn would make a circle.
async fn lock(tx: &Tx, project_id: ProjectId, ids: &BTreeSet<&str>) -> Result<(Ids, Persons), DbErr> {
    for _ in 0..TRIES {
        if let Some(locked) = lock_once(tx, project_id, ids).await? {
            return Ok(locked);
        }
        unload(tx).await?;
    }
    Err(DbErr::Custom("the persons of these ids change all the time".to_owned()))
}

/// First the ids that are new, then those without a person, then persons; each in the order of their names. `None` when
/// that is not all any more.
async fn lock_once(tx: &Tx, project_id: ProjectId, ids: &BTreeSet<&str>) -> Result<Option<(Ids, Persons)>, DbErr> {
    let (found, nobody) = (known(tx, project_id, ids).await?, Known::default());
    let missing: Vec<_> = ids.iter().filter(|id| !found.contains_key(**id)).map(|id| (*id, &nobody)).collect();
    save_ids(tx, project_id, &missing, "DO NOTHING").await?;
    let mut alone: BTreeSet<String> = BTreeSet::new();
    for ids in chunks(ids) {
        let sql = format!(
            "SELECT distinct_id FROM person_distinct_ids WHERE project_id = $1 AND distinct_id IN ({})
               AND person_id IS NULL ORDER BY distinct_id COLLATE \"C\" FOR UPDATE",
            places(2, ids.len())
        );
        for row in query_ids(tx, sql, project_id, &ids).await? {
            alone.insert(row.try_get("", "distinct_id")?);
        }
    }
    let mut found = known(tx, project_id, ids).await?;
    let persons = persons(tx, &persons_of(&found), "ORDER BY id FOR UPDATE").await?;
    if !persons.is_empty() {
        found = known(tx, project_id, ids).await?;
    }
    let is_held = |(id, known): (&String, &Known)| match known.person {
        Some(person) => persons.contains_key(&person),
        None => alone.contains(id),
    };
    Ok((found.len() == ids.len() && found.iter().all(is_held)).then_some((found, persons)))
}

async fn known(tx: &Tx, project_id: ProjectId, ids: &BTreeSet<&str>) -> Result<Ids, DbErr> {
    let mut found = BTreeMap::new();
    for ids in chunks(ids) {
        let sql = format!(
            "SELECT distinct_id, person_id, is_personless, last_at, last_uuid FROM person_distinct_ids
             WHERE project_id = $1 AND distinct_id IN ({})",
            places(2, ids.len())
        );
        for row in query_ids(tx, sql, project_id, &ids).await? {
            let last_at = row.try_get::<Option<i64>>("", "last_at")?.map(Timestamp);
            let known = Known {
                person: row.try_get("", "person_id")?,
                is_personless: row.try_get("", "is_personless")?,
                last: last_at.zip(row.try_get("", "last_uuid")?),
                buried: None,
            };
            found.insert(row.try_get("", "distinct_id")?, known);
        }
    }
    Ok(found)
}

async fn persons(tx: &Tx, ids: &BTreeSet<Uuid>, suffix: &str) -> Result<Persons, DbErr> {
    let mut found = BTreeMap::new();
    let all: Vec<_> = ids.iter().copied().collect();
    for ids in all.chunks(IDS) {
        let sql = format!(
            "SELECT id, created_at, properties, is_identified, version, id_count, last_at, last_uuid FROM persons
             WHERE id IN ({}) {suffix}",
            places(1, ids.len())
        );
        let values = ids.iter().map(|id| Value::from(*id));
        for row in tx.query_all_raw(numbered(tx.get_database_backend(), sql, values)).await? {
            let person = person(&row)?;
            found.insert(person.id, person);
        }
    }
    Ok(found)
}

fn person(row: &QueryResult) -> Result<Person, DbErr> {
    let properties: String = row.try_get("", "properties")?;
    Ok(Person {
        id: row.try_get("", "id")?,
        created_at: Timestamp(row.try_get("", "created_at")?),
        properties: serde_json::from_str(&properties).map_err(|err| DbErr::Custom(format!("properties: {err}")))?,
        is_identified: row.try_get("", "is_identified")?,
        version: row.try_get("", "version")?,
        id_count: row.try_get("", "id_count")?,
        last: (Timestamp(row.try_get("", "last_at")?), row.try_get("", "last_uuid")?),
    })
}

/// Writes what became different.
pub(in crate::identify) async fn save(tx: &Tx, before: &State, after: &State) -> Result<(), DbErr> {
    for (source, target) in &after.moves {
        move_ids(tx, *source, *target).await?;
    }
    let gone: Vec<_> = before.persons.keys().filter(|id| !after.persons.contains_key(id)).copied().collect();
    for gone in gone.chunks(IDS) {
        let sql = format!("DELETE FROM persons WHERE id IN ({})", places(1, gone.len()));
        let values = gone.iter().map(|id| Value::from(*id));
        tx.execute_raw(numbered(tx.get_database_backend(), sql, values)).await?;
    }
    let is_changed = |person: &&Person| before.persons.get(&person.id) != Some(*person);
    let persons: Vec<_> = after.persons.values().filter(is_changed).collect();
    save_persons(tx, after.project_id, &persons).await?;
    let ids: Vec<_> = after
        .ids
        .iter()
        .filter(|(id, known)| before.ids.get(*id) != Some(*known))
        .map(|(id, known)| (id.as_str(), known))
        .collect();
    save_ids(tx, after.project_id, &ids, UPDATE_ID).await
}

const UPDATE_ID: &str = "DO UPDATE SET person_id = excluded.person_id, is_personless = excluded.is_personless,
    last_at = excluded.last_at, last_uuid = excluded.last_uuid";

/// Moves all ids of a person to another one, a portion at a time; nobody sees it before the transaction ends.
async fn move_ids(tx: &Tx, source: Uuid, target: Uuid) -> Result<(), DbErr> {
    let sql = format!(
        "UPDATE person_distinct_ids SET person_id = $2 WHERE person_id = $1 AND distinct_id IN
           (SELECT distinct_id FROM person_distinct_ids WHERE person_id = $1 LIMIT {MOVED})"
    );
    loop {
        let values: [Value; 2] = [source.into(), target.into()];
        let statement = Statement::from_sql_and_values(tx.get_database_backend(), &sql, values);
        let moved = tx.execute_raw(statement).await?.rows_affected();
        if moved < MOVED as u64 {
            return Ok(());
        }
    }
}

async fn save_persons(tx: &Tx, project_id: ProjectId, persons: &[&Person]) -> Result<(), DbErr> {
    let engine = tx.get_database_backend();
    let row = |person: &&Person| -> Result<[Value; 10], DbErr> {
        let properties = serde_json::to_string(&person.properties).map_err(|err| DbErr::Custom(err.to_string()))?;
        let email = person.properties.get("email").and_then(serde_json::Value::as_str);
        Ok([
            person.id.into(),
            project_id.0.into(),
            person.created_at.0.into(),
            properties.into(),
            email.filter(|email| email.len() <= 320).map(|email| email.trim().to_lowercase()).into(),
            person.is_identified.into(),
            person.version.into(),
            person.id_count.into(),
            person.last.0.0.into(),
            person.last.1.into(),
        ])
    };
    for persons in portions(engine, persons.iter().map(row).collect::<Result<_, _>>()?) {
        let sql = format!(
            "INSERT INTO persons (id, project_id, created_at, properties, email, is_identified, version, id_count,
               last_at, last_uuid) VALUES {}
             ON CONFLICT (id) DO UPDATE SET created_at = excluded.created_at, properties = excluded.properties,
               email = excluded.email, is_identified = excluded.is_identified, version = excluded.version,
               id_count = excluded.id_count, last_at = excluded.last_at, last_uuid = excluded.last_uuid",
            rows(persons.len(), 10)
        );
        tx.execute_raw(numbered(engine, sql, persons.into_iter().flatten())).await?;
    }
    Ok(())
}

async fn save_ids(tx: &Tx, project_id: ProjectId, ids: &[(&str, &Known)], on_conflict: &str) -> Result<(), DbErr> {
    let engine = tx.get_database_backend();
    let row = |(id, known): &(&str, &Known)| -> [Value; 6] {
        [
            (*id).into(),
            project_id.0.into(),
            known.person.into(),
            known.is_personless.into(),
            known.last.map(|(at, _)| at.0).into(),
            known.last.map(|(_, uuid)| uuid).into(),
        ]
    };
    for ids in portions(engine, ids.iter().map(row).collect()) {
        let sql = format!(
            "INSERT INTO person_distinct_ids (distinct_id, project_id, person_id, is_personless, last_at, last_uuid)
             VALUES {} ON CONFLICT (distinct_id, project_id) {on_conflict}",
            rows(ids.len(), 6)
        );
        tx.execute_raw(numbered(engine, sql, ids.into_iter().flatten())).await?;
    }
    Ok(())
}
