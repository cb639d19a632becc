//! Queries on `lockouts`, each one statement.

use sea_orm::{
    ConnectionTrait, DbErr, Statement, Value,
    sea_query::{Expr, ExprTrait as _},
};

use crate::{clock::Timestamp, db};

/// What became of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    /// Attempts of this client that count, this one included.
    pub attempts: i64,
    /// It was refused, and not counted.
    pub is_denied: bool,
    /// When the count begins anew.
    pub expires_at: Timestamp,
    /// Failures of the authenticator in a row.
    pub in_a_row: i64,
}

impl Counted {
    /// Nothing is counted per client.
    pub const fn unlimited(in_a_row: i64) -> Self {
        Self { attempts: 0, is_denied: false, expires_at: Timestamp(0), in_a_row }
    }
}

/// The count runs for a window from its first attempt; the last attempt that it allows begins the window anew, so that
/// a lock always lasts that long.
const RESERVE: &str = "\
INSERT INTO lockouts (key, attempts, denied, expires_at) VALUES ($1, 1, 0, $2)
ON CONFLICT (key) DO UPDATE SET
  denied = CASE WHEN lockouts.expires_at > $3 AND lockouts.attempts >= $4 THEN 1 ELSE 0 END,
  attempts = CASE WHEN lockouts.expires_at <= $3 THEN 1
             WHEN lockouts.attempts >= $4 THEN lockouts.attempts ELSE lockouts.attempts + 1 END,
  expires_at = CASE WHEN lockouts.expires_at <= $3 OR lockouts.attempts + 1 = $4 THEN $2
               ELSE lockouts.expires_at END
RETURNING attempts, denied, expires_at,
  (SELECT streak.attempts FROM lockouts AS streak WHERE streak.key = $5) AS in_a_row";

/// Counts an attempt of `client` if fewer than `allowed` count, and reads the failures in a row.
pub(super) async fn reserve<C: ConnectionTrait>(
    db: &C,
    (client, streak): (&str, &str),
    (allowed, until): (u32, Timestamp),
    now: Timestamp,
) -> Result<Counted, DbErr> {
    let values: [Value; 5] = [client.into(), until.0.into(), now.0.into(), i64::from(allowed).into(), streak.into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), RESERVE, values);
    let row = db.query_one_raw(statement).await?.ok_or_else(|| DbErr::RecordNotFound("lockout".to_owned()))?;
    Ok(Counted {
        attempts: row.try_get("", "attempts")?,
        is_denied: row.try_get::<i32>("", "denied")? == 1,
        expires_at: Timestamp(row.try_get("", "expires_at")?),
        in_a_row: row.try_get::<Option<i64>>("", "in_a_row")?.unwrap_or_default(),
    })
}

/// Failures of an authenticator in a row.
pub(super) async fn in_a_row<C: ConnectionTrait>(db: &C, streak: &str) -> Result<i64, DbErr> {
    let sql = "SELECT attempts FROM lockouts WHERE key = $1";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [streak.into()]);
    db.query_one_raw(statement).await?.map_or(Ok(0), |row| row.try_get("", "attempts"))
}

/// Counts a failure in a row; returns how many there are.
pub(super) async fn extend<C: ConnectionTrait>(db: &C, streak: &str, until: Timestamp) -> Result<i64, DbErr> {
    let sql = "INSERT INTO lockouts (key, attempts, denied, expires_at) VALUES ($1, 1, 0, $2)
               ON CONFLICT (key) DO UPDATE SET attempts = lockouts.attempts + 1, expires_at = $2 RETURNING attempts";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [streak.into(), until.0.into()]);
    let row = db.query_one_raw(statement).await?.ok_or_else(|| DbErr::RecordNotFound("lockout".to_owned()))?;
    row.try_get("", "attempts")
}

/// Takes one attempt of a client back.
pub(super) async fn give_back<C: ConnectionTrait>(db: &C, client: &str) -> Result<(), DbErr> {
    let sql = "UPDATE lockouts SET attempts = attempts - 1 WHERE key = $1 AND attempts > 0";
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [client.into()])).await.map(|_| ())
}

/// Forgets two counts; one may be named twice.
pub(super) async fn forget<C: ConnectionTrait>(db: &C, keys: [&str; 2]) -> Result<(), DbErr> {
    let sql = "DELETE FROM lockouts WHERE key IN ($1, $2)";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, keys.map(Value::from));
    db.execute_raw(statement).await.map(|_| ())
}

/// Deletes up to `batch` counts that restrict nothing any more; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep<C: ConnectionTrait>(db: &C, now: Timestamp, batch: u64) -> Result<u64, DbErr> {
    db::sweep(db, "lockouts", "expires_at", Expr::col("expires_at").lt(now), batch).await
}
