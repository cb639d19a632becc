//! Queries on what persons are made of.

mod state;

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value,
    sea_query::{self, Expr},
};
pub(in crate::identify) use state::{load, save, unload};
use uuid::Uuid;

use super::{
    event::WarningKind,
    fact::{Changes, Deed, Fact},
};
use crate::{
    clock::Timestamp,
    db::{self, Tx, numbered},
    projects::ProjectId,
};

/// Merges that may stand between two ids of a component.
const ROUNDS: usize = 2_000;
/// Ids that one statement names; see [`db::portions`] for what is gained by few.
pub(in crate::identify) const IDS: usize = 250;

/// What is kept of a project, in an order in which nothing comes back: facts before the persons that they make. With each
/// table, what an index sorts the rows of a project by.
const TABLES: [(&str, &str); 8] = [
    ("events", "uuid"),
    ("person_facts", "uuid"),
    ("distinct_id_uses", "distinct_id"),
    ("person_distinct_ids", "project_id"),
    ("person_tombstones", "project_id"),
    ("persons", "id"),
    ("ingestion_warnings", "at"),
    ("identify_verifications", "project_id"),
];

/// `($1, $2), ($3, $4), …`
pub(in crate::identify) fn rows(count: usize, columns: usize) -> String {
    let row = |number: usize| format!("({})", places(number * columns + 1, columns));
    (0..count).map(row).collect::<Vec<_>>().join(", ")
}

/// `$3, $4, …`
pub(in crate::identify) fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// Ids in portions that a statement can name.
pub(in crate::identify) fn chunks<'a>(ids: &BTreeSet<&'a str>) -> Vec<Vec<&'a str>> {
    ids.iter().copied().collect::<Vec<_>>().chunks(IDS).map(<[&str]>::to_vec).collect()
}

/// Has PostgreSQL plan the statements of a transaction for the tables as they are. A plan that was kept since a table was
/// empty reads all rows of a project for a handful of ids, until statistics are made.
pub(in crate::identify) async fn plan_anew(tx: &Tx) -> Result<(), DbErr> {
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan").await?;
    }
    Ok(())
}

/// Runs a query whose first value is the project and whose others are ids.
pub(in crate::identify) async fn query_ids(
    tx: &Tx,
    sql: String,
    project_id: ProjectId,
    ids: &[&str],
) -> Result<Vec<QueryResult>, DbErr> {
    let values = std::iter::once(Value::from(project_id.0)).chain(ids.iter().map(|id| Value::from(*id)));
    tx.query_all_raw(numbered(tx.get_database_backend(), sql, values)).await
}

/// The name of a deed in the table.
pub(in crate::identify) fn kind(deed: &Deed) -> &'static str {
    match deed {
        Deed::Set => "set",
        Deed::Merge { is_unguarded: false, .. } => "merge",
        Deed::Merge { is_unguarded: true, .. } => "merge_unguarded",
        Deed::Personless => "personless",
        Deed::Split => "split",
        Deed::Detached => "detached",
    }
}

/// Until when events of these ids count for nothing, in this project or in all.
pub(in crate::identify) async fn tombstones(
    tx: &Tx,
    project_id: ProjectId,
    ids: &BTreeSet<&str>,
) -> Result<HashMap<String, Timestamp>, DbErr> {
    let mut found: HashMap<String, Timestamp> = HashMap::new();
    for ids in chunks(ids) {
        let sql = format!(
            "SELECT distinct_id, until FROM person_tombstones
             WHERE project_id IN ($1, $2) AND distinct_id IN ({})",
            places(3, ids.len())
        );
        let projects = [project_id.0, Uuid::nil()].map(Value::from);
        let values = projects.into_iter().chain(ids.iter().map(|id| Value::from(*id)));
        for row in tx.query_all_raw(numbered(tx.get_database_backend(), sql, values)).await? {
            let (id, until) = (row.try_get("", "distinct_id")?, Timestamp(row.try_get("", "until")?));
            let latest = found.entry(id).or_insert(until);
            *latest = until.max(*latest);
        }
    }
    Ok(found)
}

/// Facts that are not applied yet, in their order.
pub(in crate::identify) async fn pending(tx: &Tx, project_id: ProjectId, uuids: &[Uuid]) -> Result<Vec<Fact>, DbErr> {
    let sql = format!(
        "SELECT uuid, kind, at, distinct_id, other, changes FROM person_facts
         WHERE project_id = $1 AND is_applied = $2 AND uuid IN ({})",
        places(3, uuids.len())
    );
    let fixed: [Value; 2] = [project_id.0.into(), false.into()];
    let values = fixed.into_iter().chain(uuids.iter().map(|uuid| (*uuid).into()));
    let rows = tx.query_all_raw(numbered(tx.get_database_backend(), sql, values)).await?;
    sorted(&rows)
}

/// All facts about these ids, in their order.
pub(in crate::identify) async fn facts_of(
    tx: &Tx,
    project_id: ProjectId,
    ids: &BTreeSet<&str>,
) -> Result<Vec<Fact>, DbErr> {
    let mut rows = Vec::new();
    for ids in chunks(ids) {
        let sql = format!(
            "SELECT uuid, kind, at, distinct_id, other, changes FROM person_facts
             WHERE project_id = $1 AND distinct_id IN ({})",
            places(2, ids.len())
        );
        rows.extend(query_ids(tx, sql, project_id, &ids).await?);
    }
    sorted(&rows)
}

fn sorted(rows: &[QueryResult]) -> Result<Vec<Fact>, DbErr> {
    let mut facts = rows.iter().map(fact).collect::<Result<Vec<_>, _>>()?;
    facts.sort_unstable_by_key(Fact::moment);
    Ok(facts)
}

fn fact(row: &QueryResult) -> Result<Fact, DbErr> {
    let other = row.try_get::<Option<String>>("", "other")?;
    let kind = row.try_get::<String>("", "kind")?;
    let deed = match (kind.as_str(), other) {
        ("merge", Some(other)) => Deed::Merge { other, is_unguarded: false },
        ("merge_unguarded", Some(other)) => Deed::Merge { other, is_unguarded: true },
        ("personless", _) => Deed::Personless,
        ("split", _) => Deed::Split,
        _ => Deed::Set,
    };
    let changes = match row.try_get::<Option<String>>("", "changes")? {
        Some(text) => serde_json::from_str(&text).map_err(|err| DbErr::Custom(format!("changes of a fact: {err}")))?,
        None => Changes::default(),
    };
    Ok(Fact {
        uuid: row.try_get("", "uuid")?,
        at: Timestamp(row.try_get("", "at")?),
        distinct_id: row.try_get("", "distinct_id")?,
        deed,
        changes,
    })
}

/// All ids that merges connect with these; `None` when they are more than `limit`. Each round takes one step along all
/// merges, in either direction. A chain of very many rounds is one that somebody made, and counts as too large.
pub(in crate::identify) async fn closure(
    tx: &Tx,
    project_id: ProjectId,
    ids: &BTreeSet<&str>,
    limit: usize,
) -> Result<Option<BTreeSet<String>>, DbErr> {
    let mut found: BTreeSet<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    let mut edge = found.clone();
    for _ in 0..ROUNDS {
        if edge.is_empty() || found.len() > limit {
            return Ok((found.len() <= limit).then_some(found));
        }
        let mut next = BTreeSet::new();
        for (from, to) in [("distinct_id", "other"), ("other", "distinct_id")] {
            for ids in chunks(&edge.iter().map(String::as_str).collect()) {
                // In two steps: as one, SQLite reads all facts of the project to have the results in order.
                let sql = format!(
                    "WITH edges AS MATERIALIZED (SELECT {to} AS id FROM person_facts WHERE project_id = $1 AND {from} IN ({}))
                     SELECT DISTINCT id FROM edges WHERE id IS NOT NULL LIMIT {}",
                    places(2, ids.len()),
                    limit + 1
                );
                for row in query_ids(tx, sql, project_id, &ids).await? {
                    let id: String = row.try_get("", "id")?;
                    if found.insert(id.clone()) {
                        next.insert(id);
                    }
                }
            }
        }
        edge = next;
    }
    Ok(None)
}

/// Records that facts are applied.
pub(in crate::identify) async fn mark_applied(tx: &Tx, project_id: ProjectId, uuids: &[Uuid]) -> Result<(), DbErr> {
    for uuids in uuids.chunks(IDS) {
        let sql = format!(
            "UPDATE person_facts SET is_applied = $1 WHERE project_id = $2 AND uuid IN ({})",
            places(3, uuids.len())
        );
        let fixed: [Value; 2] = [true.into(), project_id.0.into()];
        let values = fixed.into_iter().chain(uuids.iter().map(|uuid| (*uuid).into()));
        tx.execute_raw(numbered(tx.get_database_backend(), sql, values)).await?;
    }
    Ok(())
}

/// Forgets the warnings that an earlier order of these facts led to.
pub(in crate::identify) async fn forget_warnings(tx: &Tx, project_id: ProjectId, uuids: &[Uuid]) -> Result<(), DbErr> {
    for uuids in uuids.chunks(IDS) {
        // In two steps: as one, SQLite reads all warnings of the project.
        let sql = format!(
            "DELETE FROM ingestion_warnings WHERE id IN (
               WITH about AS MATERIALIZED (
                 SELECT id, project_id, kind FROM ingestion_warnings WHERE event_uuid IN ({}))
               SELECT id FROM about WHERE project_id = ${} AND kind IN ({}))",
            places(1, uuids.len()),
            uuids.len() + 1,
            places(uuids.len() + 2, 2)
        );
        let kinds = [WarningKind::AlreadyIdentified, WarningKind::PropertiesSize].map(|kind| kind.as_str().into());
        let values = uuids.iter().map(|uuid| (*uuid).into()).chain([Value::from(project_id.0)]).chain(kinds);
        tx.execute_raw(numbered(tx.get_database_backend(), sql, values)).await?;
    }
    Ok(())
}

/// The ids of a person, sorted.
pub(in crate::identify) async fn ids_of_person(
    tx: &Tx,
    project_id: ProjectId,
    person_id: Uuid,
) -> Result<Vec<String>, DbErr> {
    let sql =
        "SELECT distinct_id FROM person_distinct_ids WHERE person_id = $1 AND project_id = $2 ORDER BY distinct_id";
    let values: [Value; 2] = [person_id.into(), project_id.0.into()];
    let rows = tx.query_all_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    rows.iter().map(|row| row.try_get("", "distinct_id")).collect()
}

/// The persons that an id belongs to, in all projects.
pub(in crate::identify) async fn persons_of_id(tx: &Tx, id: &str) -> Result<Vec<(ProjectId, Uuid)>, DbErr> {
    let sql = "SELECT project_id, person_id FROM person_distinct_ids
               WHERE distinct_id = $1 AND person_id IS NOT NULL ORDER BY project_id";
    let rows = tx.query_all_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, [id.into()])).await?;
    let read = |row: &QueryResult| Ok((ProjectId(row.try_get("", "project_id")?), row.try_get("", "person_id")?));
    rows.iter().map(read).collect()
}

/// Deletes what is known of ids until then.
pub(in crate::identify) async fn bury(
    tx: &Tx,
    project_id: ProjectId,
    ids: &BTreeSet<&str>,
    until: Timestamp,
) -> Result<(), DbErr> {
    entomb(tx, project_id, ids, until).await?;
    for ids in chunks(ids) {
        let of = places(2, ids.len());
        if tx.get_database_backend() == DbBackend::Postgres {
            // In the order in which batches record them, so that neither waits for the other in a circle.
            let sql = format!(
                "SELECT 1 FROM distinct_id_uses WHERE project_id = $1 AND distinct_id IN ({of})
                 ORDER BY distinct_id COLLATE \"C\", is_personless FOR UPDATE"
            );
            query_ids(tx, sql, project_id, &ids).await?;
        }
        for sql in [
            format!("DELETE FROM person_facts WHERE project_id = $1 AND distinct_id IN ({of}) AND at <= {}", until.0),
            format!("DELETE FROM distinct_id_uses WHERE project_id = $1 AND distinct_id IN ({of})"),
            format!(
                "DELETE FROM persons WHERE id IN (SELECT person_id FROM person_distinct_ids
                   WHERE project_id = $1 AND distinct_id IN ({of}))"
            ),
            format!("DELETE FROM person_distinct_ids WHERE project_id = $1 AND distinct_id IN ({of})"),
        ] {
            let values = std::iter::once(Value::from(project_id.0)).chain(ids.iter().map(|id| Value::from(*id)));
            tx.execute_raw(numbered(tx.get_database_backend(), sql, values)).await?;
        }
    }
    Ok(())
}

/// Lets events of ids count for nothing until then.
pub(in crate::identify) async fn entomb(
    tx: &Tx,
    project_id: ProjectId,
    ids: &BTreeSet<&str>,
    until: Timestamp,
) -> Result<(), DbErr> {
    for ids in chunks(ids) {
        let values: Vec<Value> =
            ids.iter().flat_map(|id| -> [Value; 3] { [(*id).into(), project_id.0.into(), until.0.into()] }).collect();
        let sql = format!(
            "INSERT INTO person_tombstones (distinct_id, project_id, until) VALUES {}
             ON CONFLICT (distinct_id, project_id) DO UPDATE SET until = excluded.until
             WHERE person_tombstones.until < excluded.until",
            rows(ids.len(), 3)
        );
        tx.execute_raw(numbered(tx.get_database_backend(), sql, values)).await?;
    }
    Ok(())
}

/// Deletes up to `batch` rows of a project that takes no more events. True when more may be left.
///
/// # Errors
/// When the database fails.
pub async fn purge(tx: &Tx, project_id: ProjectId, batch: u64) -> Result<bool, DbErr> {
    let mut left = batch;
    for (table, by) in TABLES {
        let is_of_project = sea_query::ExprTrait::eq(Expr::col("project_id"), project_id);
        let deleted = db::purge(&**tx, table, by, is_of_project, left).await?;
        left = left.saturating_sub(deleted);
        if left == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}
