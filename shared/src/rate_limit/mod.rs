//! Rate limits that hold across gateways and restarts: GCRA rows in the database, one statement per check.
//!
//! ```text
//! Limit { count: 3, per: 1 h }      up to 3 at once, then one every 20 minutes
//! row(key) = theoretical arrival time (tat) of the next conforming event
//! check:  tat' = max(tat, now) + per/count;  allowed when tat' <= now + per
//! ```
//!
//! The generic cell rate algorithm (ITU-T I.371) needs one number per key and no window bookkeeping. Keys are keyed
//! digests of the identifier, whether or not it belongs to an account, so the table holds no address and tells nothing.
//! A database error is returned, and callers answer it as unavailable: an error never allows.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DbErr, Statement,
    sea_query::{self, Expr},
};
use serde::Deserialize;

use crate::{
    clock::{Timestamp, micros},
    db,
    secret::{Keyring, encode},
};

/// How much of something is allowed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// How many.
    pub count: u32,
    /// In how many seconds.
    pub per_seconds: u64,
}

impl Limit {
    fn interval(self) -> Duration {
        self.window() / self.count.max(1)
    }

    /// How long the whole of it takes.
    #[must_use]
    pub fn window(self) -> Duration {
        Duration::from_secs(self.per_seconds)
    }
}

/// What a check decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on; the event has been counted.
    Allowed,
    /// Refuse; the event was not counted. The next one conforms after this time.
    Denied(Duration),
}

impl Verdict {
    /// Whether the event may happen.
    #[must_use]
    pub fn is_allowed(self) -> bool {
        self == Self::Allowed
    }
}

/// Counts one event of `scope` for `identifier` if the limit allows it. A limit with `count` 0 is switched off.
///
/// # Errors
/// When the database fails; the caller must refuse.
pub async fn check<C: ConnectionTrait>(
    db: &C,
    keys: &Keyring,
    now: Timestamp,
    limit: Limit,
    scope: (&str, &str),
) -> Result<Verdict, DbErr> {
    check_many(db, keys, now, limit, 1, scope).await
}

/// Counts that many events at once, all or none. More than the whole limit counts as the whole of it.
///
/// # Errors
/// When the database fails; the caller must refuse.
pub async fn check_many<C: ConnectionTrait>(
    db: &C,
    keys: &Keyring,
    now: Timestamp,
    limit: Limit,
    events: u32,
    (scope, identifier): (&str, &str),
) -> Result<Verdict, DbErr> {
    if limit.count == 0 {
        return Ok(Verdict::Allowed);
    }
    let key = key(keys, (scope, identifier));
    let interval = micros(limit.interval() * events.min(limit.count));
    let horizon = now + limit.window();
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        CHECK,
        [key.into(), (now.0 + interval).into(), now.0.into(), interval.into(), horizon.0.into()],
    );
    let row = db.query_one_raw(statement).await?.ok_or_else(|| DbErr::RecordNotFound("rate limit".to_owned()))?;
    let (arrival, denied): (i64, i32) = (row.try_get("", "tat")?, row.try_get("", "denied")?);
    if denied == 0 {
        return Ok(Verdict::Allowed);
    }
    let conforms_at = Timestamp(arrival.saturating_add(interval)) - limit.window();
    Ok(Verdict::Denied(conforms_at.since(now).max(Duration::from_secs(1))))
}

/// The name of a row: the scope, and a keyed digest of whom it is about.
fn key(keys: &Keyring, (scope, identifier): (&str, &str)) -> String {
    format!("{scope}:{}", encode(&keys.blind("rate_limit", &[scope.as_bytes(), identifier.as_bytes()])))
}

/// Takes one event back that [`check`] allowed.
///
/// # Errors
/// When the database fails; the event then stays counted.
pub async fn give_back<C: ConnectionTrait>(
    db: &C,
    keys: &Keyring,
    limit: Limit,
    scope: (&str, &str),
) -> Result<(), DbErr> {
    if limit.count == 0 {
        return Ok(());
    }
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "UPDATE rate_limits SET tat = tat - $2 WHERE key = $1",
        [key(keys, scope).into(), micros(limit.interval()).into()],
    );
    db.execute_raw(statement).await.map(|_| ())
}

/// Forgets what was counted of `scope` for `identifier`.
///
/// # Errors
/// When the database fails.
pub async fn forget<C: ConnectionTrait>(
    db: &C,
    keys: &Keyring,
    (scope, identifier): (&str, &str),
) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "DELETE FROM rate_limits WHERE key = $1",
        [key(keys, (scope, identifier)).into()],
    );
    db.execute_raw(statement).await.map(|_| ())
}

const CHECK: &str = "\
INSERT INTO rate_limits (key, tat, denied) VALUES ($1, $2, 0)
ON CONFLICT (key) DO UPDATE SET
  denied = CASE WHEN (CASE WHEN rate_limits.tat > $3 THEN rate_limits.tat ELSE $3 END) + $4 <= $5 THEN 0 ELSE 1 END,
  tat = CASE WHEN (CASE WHEN rate_limits.tat > $3 THEN rate_limits.tat ELSE $3 END) + $4 <= $5
        THEN (CASE WHEN rate_limits.tat > $3 THEN rate_limits.tat ELSE $3 END) + $4 ELSE rate_limits.tat END
RETURNING tat, denied";

/// Deletes up to `batch` rows that no longer restrict anything; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep<C: ConnectionTrait>(db: &C, now: Timestamp, batch: u64) -> Result<u64, DbErr> {
    let is_over = sea_query::ExprTrait::lt(Expr::col("tat"), now);
    db::sweep(db, "rate_limits", "tat", is_over, batch).await
}
