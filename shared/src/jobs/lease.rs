//! Leadership: one row per role, held for a time by the database's clock, with a term that only grows.
//!
//! A holder renews before the time is over. A process that was stopped beyond it finds its term gone: everything it does
//! as leader is idempotent or guarded by a dedup key, so the overlap of two terms has no effect twice.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr, Statement};

use crate::clock::{Timestamp, micros};

/// A held role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Grows by one with every change of holder.
    pub term: i64,
    /// Until when it is held.
    pub until: Timestamp,
}

/// Takes or renews `role` for `owner`. `None` while another owner holds it.
///
/// # Errors
/// When the database fails; the caller is then not the leader.
pub async fn acquire<C: ConnectionTrait>(
    db: &C,
    role: &str,
    owner: &str,
    now: Timestamp,
    hold: Duration,
) -> Result<Option<Lease>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "INSERT INTO leases (role, owner, term, held_until) VALUES ($1, $2, 1, $4)
         ON CONFLICT (role) DO UPDATE SET
           term = CASE WHEN leases.owner = $2 THEN leases.term ELSE leases.term + 1 END,
           owner = $2, held_until = $4
         WHERE leases.owner = $2 OR leases.held_until < $3
         RETURNING term, held_until",
        [role.into(), owner.into(), now.0.into(), now.0.saturating_add(micros(hold)).into()],
    );
    let Some(row) = db.query_one_raw(statement).await? else { return Ok(None) };
    Ok(Some(Lease { term: row.try_get("", "term")?, until: Timestamp(row.try_get("", "held_until")?) }))
}

/// Gives `role` up if `owner` holds it, so that another process takes over at once.
///
/// # Errors
/// When the database fails; the lease then ends by itself.
pub async fn release<C: ConnectionTrait>(db: &C, role: &str, owner: &str) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "UPDATE leases SET held_until = 0 WHERE role = $1 AND owner = $2",
        [role.into(), owner.into()],
    );
    db.execute_raw(statement).await.map(|_| ())
}

/// Whether anybody holds `role` at this moment.
///
/// # Errors
/// When the database fails.
pub async fn is_held<C: ConnectionTrait>(db: &C, role: &str, now: Timestamp) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT role FROM leases WHERE role = $1 AND held_until > $2",
        [role.into(), now.0.into()],
    );
    db.query_one_raw(statement).await.map(|row| row.is_some())
}

/// Ends every lease, for a process that knows to be the only one: whoever held them was killed.
///
/// # Errors
/// When the database fails; the leases then end by themselves.
pub async fn end_all<C: ConnectionTrait>(db: &C) -> Result<(), DbErr> {
    db.execute_unprepared("UPDATE leases SET held_until = 0").await.map(|_| ())
}
