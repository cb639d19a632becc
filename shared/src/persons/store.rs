//! Queries on persons, events and warnings of one project.

use std::{collections::HashMap, fmt, str::FromStr};

use sea_orm::{
    ConnectionTrait, DbErr, QueryResult, Statement, Value,
    sea_query::{Expr, ExprTrait as _},
};
use uuid::Uuid;

use crate::{clock::Timestamp, db, projects::ProjectId};

/// Distinct ids that a list shows of each person.
const LISTED_IDS: u32 = 100;

/// A person with its distinct ids.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPerson {
    /// Id.
    pub id: Uuid,
    /// Its distinct ids; in a list the first hundred of them.
    pub distinct_ids: Vec<String>,
    /// Properties.
    pub properties: serde_json::Value,
    /// Whether a merge had it as its target.
    pub is_identified: bool,
    /// When the first of its events happened.
    pub created_at: Timestamp,
}

/// An event, with whom it belongs to now.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Chosen by the client.
    pub uuid: Uuid,
    /// Name.
    pub event: String,
    /// Who it is about.
    pub distinct_id: String,
    /// When it happened.
    pub at: Timestamp,
    /// Properties.
    pub properties: serde_json::Value,
    /// Id of the person, whether it is identified, and its e-mail address.
    pub person: Option<(Uuid, bool, Option<String>)>,
}

/// What a project should know about an event that it sent.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredWarning {
    /// Id.
    pub id: Uuid,
    /// What is wrong.
    pub kind: String,
    /// With which event.
    pub event_uuid: Option<Uuid>,
    /// Whom the event is about.
    pub distinct_id: String,
    /// Further facts.
    pub detail: serde_json::Value,
    /// When the event happened.
    pub at: Timestamp,
}

/// Which persons.
#[derive(Clone, Debug, Default)]
pub struct PersonFilter {
    /// The one with this distinct id.
    pub distinct_id: Option<String>,
    /// Those with this e-mail address, in any case of letters.
    pub email: Option<String>,
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Those about this id.
    pub distinct_id: Option<String>,
    /// Those of this person.
    pub person_id: Option<Uuid>,
    /// Those with this name.
    pub event: Option<String>,
}

/// A place in a list by time, the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position(pub Timestamp, pub Uuid);

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.0.0, self.1)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, uuid) = text.split_once('.').ok_or(())?;
        Ok(Self(Timestamp(at.parse().map_err(|_| ())?), uuid.parse().map_err(|_| ())?))
    }
}

/// How many rows, after which one.
pub type Page<P> = (u64, Option<P>);

/// A statement whose values are numbered as they are added.
struct Query {
    sql: String,
    values: Vec<Value>,
}

impl Query {
    fn new(sql: &str, project_id: ProjectId) -> Self {
        Self { sql: sql.to_owned(), values: vec![project_id.0.into()] }
    }

    /// Adds a condition; `?` stands for the values.
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        let mut parts = condition.split('?');
        self.sql.push_str(" AND ");
        self.sql.push_str(parts.next().unwrap_or_default());
        for (value, part) in values.into_iter().zip(parts) {
            self.values.push(value);
            self.sql.push('$');
            self.sql.push_str(&self.values.len().to_string());
            self.sql.push_str(part);
        }
    }

    async fn all<C: ConnectionTrait>(self, db: &C, order: &str, limit: u64) -> Result<Vec<QueryResult>, DbErr> {
        let sql = format!("{} ORDER BY {order} LIMIT {limit}", self.sql);
        db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, self.values)).await
    }
}

fn json(row: &QueryResult, column: &str) -> Result<serde_json::Value, DbErr> {
    let text: String = row.try_get("", column)?;
    serde_json::from_str(&text).map_err(|err| DbErr::Custom(format!("{column}: {err}")))
}

fn person(row: &QueryResult) -> Result<StoredPerson, DbErr> {
    Ok(StoredPerson {
        id: row.try_get("", "id")?,
        distinct_ids: Vec::new(),
        properties: json(row, "properties")?,
        is_identified: row.try_get("", "is_identified")?,
        created_at: Timestamp(row.try_get("", "created_at")?),
    })
}

pub(super) async fn list<C: ConnectionTrait>(
    db: &C,
    project_id: ProjectId,
    filter: &PersonFilter,
    (limit, after): Page<Uuid>,
) -> Result<Vec<StoredPerson>, DbErr> {
    let columns = "SELECT id, properties, is_identified, created_at FROM persons WHERE project_id = $1";
    let mut query = Query::new(columns, project_id);
    if let Some(id) = &filter.distinct_id {
        let of = "id IN (SELECT person_id FROM person_distinct_ids WHERE distinct_id = ? AND project_id = $1)";
        query.and(of, [id.as_str().into()]);
    }
    if let Some(email) = &filter.email {
        query.and("email = ?", [email.trim().to_lowercase().into()]);
    }
    if let Some(after) = after {
        query.and("id > ?", [after.into()]);
    }
    let rows = query.all(db, "id", limit).await?;
    let mut persons = rows.iter().map(person).collect::<Result<Vec<_>, _>>()?;
    let mut ids = ids_of(db, &persons, Some(LISTED_IDS)).await?;
    for person in &mut persons {
        person.distinct_ids = ids.remove(&person.id).unwrap_or_default();
    }
    Ok(persons)
}

pub(super) async fn find<C: ConnectionTrait>(
    db: &C,
    project_id: ProjectId,
    person_id: Uuid,
) -> Result<Option<StoredPerson>, DbErr> {
    let columns = "SELECT id, properties, is_identified, created_at FROM persons WHERE project_id = $1";
    let mut query = Query::new(columns, project_id);
    query.and("id = ?", [person_id.into()]);
    let rows = query.all(db, "id", 1).await?;
    let Some(mut person) = rows.first().map(person).transpose()? else { return Ok(None) };
    let ids = ids_of(db, std::slice::from_ref(&person), None).await?.remove(&person_id);
    person.distinct_ids = ids.unwrap_or_default();
    Ok(Some(person))
}

async fn ids_of<C: ConnectionTrait>(
    db: &C,
    persons: &[StoredPerson],
    most: Option<u32>,
) -> Result<HashMap<Uuid, Vec<String>>, DbErr> {
    let mut found: HashMap<Uuid, Vec<String>> = HashMap::new();
    if persons.is_empty() {
        return Ok(found);
    }
    let places = (1..=persons.len()).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT person_id, distinct_id FROM (
           SELECT person_id, distinct_id, ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY distinct_id) AS number
           FROM person_distinct_ids WHERE person_id IN ({places})
         ) AS numbered WHERE number <= {} ORDER BY person_id, number",
        most.unwrap_or(u32::MAX)
    );
    let values = persons.iter().map(|person| Value::from(person.id));
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    for row in rows {
        found.entry(row.try_get("", "person_id")?).or_default().push(row.try_get("", "distinct_id")?);
    }
    Ok(found)
}

pub(super) async fn list_events<C: ConnectionTrait>(
    db: &C,
    project_id: ProjectId,
    filter: &EventFilter,
    (limit, before): Page<Position>,
) -> Result<Vec<StoredEvent>, DbErr> {
    let columns =
        "SELECT event.uuid, event.event, event.distinct_id, event.at, event.properties, person.id AS person_id,
          person.is_identified, person.email
        FROM events AS event
        LEFT JOIN person_tombstones AS grave
          ON grave.distinct_id = event.distinct_id AND grave.project_id = event.project_id AND grave.until >= event.at
        LEFT JOIN person_distinct_ids AS known
          ON known.distinct_id = event.distinct_id AND known.project_id = event.project_id AND grave.until IS NULL
        LEFT JOIN persons AS person ON person.id = known.person_id
        WHERE event.project_id = $1";
    let mut query = Query::new(columns, project_id);
    if let Some(id) = &filter.distinct_id {
        query.and("event.distinct_id = ?", [id.as_str().into()]);
    }
    if let Some(person_id) = filter.person_id {
        let of = "event.distinct_id IN (SELECT distinct_id FROM person_distinct_ids
                    WHERE person_id = ? AND project_id = $1) AND grave.until IS NULL";
        query.and(of, [person_id.into()]);
    }
    if let Some(name) = &filter.event {
        query.and("event.event = ?", [name.as_str().into()]);
    }
    if let Some(Position(at, uuid)) = before {
        let (at, uuid): (Value, Value) = (at.0.into(), uuid.into());
        query.and("event.at <= ? AND (event.at < ? OR event.uuid < ?)", [at.clone(), at, uuid]);
    }
    let rows = query.all(db, "event.at DESC, event.uuid DESC", limit).await?;
    rows.iter().map(event).collect()
}

fn event(row: &QueryResult) -> Result<StoredEvent, DbErr> {
    let person_id: Option<Uuid> = row.try_get("", "person_id")?;
    let person = match person_id {
        Some(id) => Some((id, row.try_get("", "is_identified")?, row.try_get("", "email")?)),
        None => None,
    };
    Ok(StoredEvent {
        uuid: row.try_get("", "uuid")?,
        event: row.try_get("", "event")?,
        distinct_id: row.try_get("", "distinct_id")?,
        at: Timestamp(row.try_get("", "at")?),
        properties: json(row, "properties")?,
        person,
    })
}

pub(super) async fn list_warnings<C: ConnectionTrait>(
    db: &C,
    project_id: ProjectId,
    (limit, before): Page<Position>,
) -> Result<Vec<StoredWarning>, DbErr> {
    let columns = "SELECT id, kind, event_uuid, distinct_id, detail, at FROM ingestion_warnings WHERE project_id = $1";
    let mut query = Query::new(columns, project_id);
    if let Some(Position(at, id)) = before {
        let (at, id): (Value, Value) = (at.0.into(), id.into());
        query.and("at <= ? AND (at < ? OR id < ?)", [at.clone(), at, id]);
    }
    let rows = query.all(db, "at DESC, id DESC", limit).await?;
    let warning = |row: &QueryResult| {
        Ok(StoredWarning {
            id: row.try_get("", "id")?,
            kind: row.try_get("", "kind")?,
            event_uuid: row.try_get("", "event_uuid")?,
            distinct_id: row.try_get("", "distinct_id")?,
            detail: json(row, "detail")?,
            at: Timestamp(row.try_get("", "at")?),
        })
    };
    rows.iter().map(warning).collect()
}

/// Deletes up to `batch` events that arrived before `before`; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep_events<C: ConnectionTrait>(db: &C, before: Timestamp, batch: u64) -> Result<u64, DbErr> {
    db::sweep(db, "events", "received_at", Expr::col("received_at").lt(before), batch).await
}

/// Deletes up to `batch` warnings about events that happened before `before`; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep_warnings<C: ConnectionTrait>(db: &C, before: Timestamp, batch: u64) -> Result<u64, DbErr> {
    db::sweep(db, "ingestion_warnings", "at", Expr::col("at").lt(before), batch).await
}
