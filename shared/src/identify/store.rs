//! Queries on what persons are made of.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use super::fact::Deed;
use crate::{clock::Timestamp, db::Tx, projects::ProjectId};

/// Ids that one statement names.
pub(super) const IDS: usize = 5_000;

/// `($1, $2), ($3, $4), …`
pub(super) fn rows(count: usize, columns: usize) -> String {
    let row = |number: usize| format!("({})", places(number * columns + 1, columns));
    (0..count).map(row).collect::<Vec<_>>().join(", ")
}

/// `$3, $4, …`
pub(super) fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// Ids in portions that a statement can name.
pub(super) fn chunks<'a>(ids: &BTreeSet<&'a str>) -> Vec<Vec<&'a str>> {
    ids.iter().copied().collect::<Vec<_>>().chunks(IDS).map(<[&str]>::to_vec).collect()
}

/// Runs a query whose first value is the project and whose others are ids.
pub(super) async fn query_ids(
    tx: &Tx,
    sql: String,
    project_id: ProjectId,
    ids: &[&str],
) -> Result<Vec<QueryResult>, DbErr> {
    let values = std::iter::once(Value::from(project_id.0)).chain(ids.iter().map(|id| Value::from(*id)));
    tx.query_all_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await
}

/// The name of a deed in the table.
pub(super) fn kind(deed: &Deed) -> &'static str {
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
pub(super) async fn tombstones(
    tx: &Tx,
    project_id: ProjectId,
    ids: &BTreeSet<&str>,
) -> Result<HashMap<String, Timestamp>, DbErr> {
    let mut found: HashMap<String, Timestamp> = HashMap::new();
    for ids in chunks(ids) {
        let sql = format!(
            "SELECT distinct_id, until FROM person_tombstones
             WHERE project_id IN ($1, ${}) AND distinct_id IN ({})",
            ids.len() + 2,
            places(2, ids.len())
        );
        let values = std::iter::once(Value::from(project_id.0)).chain(ids.iter().map(|id| Value::from(*id)));
        let statement =
            Statement::from_sql_and_values(tx.get_database_backend(), sql, values.chain([Value::from(Uuid::nil())]));
        for row in tx.query_all_raw(statement).await? {
            let (id, until) = (row.try_get("", "distinct_id")?, Timestamp(row.try_get("", "until")?));
            let latest = found.entry(id).or_insert(until);
            *latest = until.max(*latest);
        }
    }
    Ok(found)
}
