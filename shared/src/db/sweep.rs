//! Deleting what is over, a batch at a time: the one statement of all sweeps.
//!
//! ```text
//! PostgreSQL  DELETE … WHERE ctid = ANY (ARRAY (SELECT ctid … WHERE over ORDER BY by LIMIT batch FOR UPDATE SKIP LOCKED))
//! SQLite      DELETE … WHERE rowid IN (SELECT rowid … WHERE over ORDER BY by LIMIT batch)
//! ```
//!
//! Three things keep it quick on PostgreSQL, however little is known of the table:
//! - The batch is an array, chosen once. `key IN (SELECT key … LIMIT batch)` can become a join that chooses the batch again
//!   for every row of the table.
//! - It is planned whenever it runs. A prepared statement keeps the plan of its first runs, and one that was made while the
//!   table was empty compares every row of the table with every row of the batch.
//! - It has an order, that of an index. Without one, a table is read from its start until enough rows are over: all of it
//!   when none are.
//!
//! A row that comes to life again stays. On PostgreSQL the chosen rows are locked, after their latest versions were looked
//! at, until the transaction ends; on SQLite nobody else writes meanwhile.

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, Order,
    sea_query::{
        DeleteStatement, Expr, ExprTrait as _, IntoColumnRef, IntoCondition, IntoTableRef, LockBehavior, LockType,
        PostgresQueryBuilder, Query, SelectStatement, TableRef,
    },
};

/// Deletes up to `batch` rows of `table` for which `over` holds, those with the least `by` first; returns how many.
/// `by` is what an index that serves `over` is sorted by.
///
/// Rows that another transaction holds are left to the next sweep: it may be renewing them, and waiting for each other
/// could be in a circle.
///
/// The values in `over` become part of the text of the statement, so they are times, ids and words, and no secrets.
///
/// # Errors
/// When the database fails.
pub async fn sweep<C: ConnectionTrait>(
    db: &C,
    table: impl IntoTableRef,
    by: impl IntoColumnRef,
    over: impl IntoCondition,
    batch: u64,
) -> Result<u64, DbErr> {
    let mut rows = choose(by, over, batch);
    rows.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    delete(db, table.into_table_ref(), rows).await
}

/// Like [`sweep`], but waits for rows that another transaction holds: for who takes less than a batch as a sign that
/// nothing is left.
///
/// # Errors
/// When the database fails.
pub async fn purge<C: ConnectionTrait>(
    db: &C,
    table: impl IntoTableRef,
    by: impl IntoColumnRef,
    over: impl IntoCondition,
    batch: u64,
) -> Result<u64, DbErr> {
    delete(db, table.into_table_ref(), choose(by, over, batch)).await
}

/// Everything about the choice but the table.
fn choose(by: impl IntoColumnRef, over: impl IntoCondition, batch: u64) -> SelectStatement {
    Query::select().cond_where(over).order_by(by, Order::Asc).limit(batch).take()
}

async fn delete<C: ConnectionTrait>(db: &C, table: TableRef, rows: SelectStatement) -> Result<u64, DbErr> {
    let engine = db.get_database_backend();
    let statement = statement(engine, table, rows);
    let result = if engine == DbBackend::Postgres {
        db.execute_unprepared(&statement.to_string(PostgresQueryBuilder)).await?
    } else {
        db.execute(&statement).await?
    };
    Ok(result.rows_affected())
}

/// Deletes the rows of `table` that `rows` chooses. They are named by their place, which every table has.
fn statement(engine: DbBackend, table: TableRef, mut rows: SelectStatement) -> DeleteStatement {
    let place = if engine == DbBackend::Postgres { "ctid" } else { "rowid" };
    rows.column(place).from(table.clone());
    let is_chosen = if engine == DbBackend::Postgres {
        Expr::cust_with_expr("ctid = ANY (ARRAY $1)", Expr::from(rows))
    } else {
        Expr::col(place).in_subquery(rows)
    };
    Query::delete().from_table(table).and_where(is_chosen).take()
}

#[cfg(test)]
mod tests {
    use sea_orm::sea_query::SqliteQueryBuilder;

    use super::*;

    #[test]
    fn the_batch_is_chosen_once() {
        let rows = || choose("at", Expr::col("at").lt(5), 9);
        let table = || "things".into_table_ref();
        assert_eq!(
            statement(DbBackend::Postgres, table(), rows()).to_string(PostgresQueryBuilder),
            r#"DELETE FROM "things" WHERE ctid = ANY (ARRAY (SELECT "ctid" FROM "things" WHERE "at" < 5 ORDER BY "at" ASC LIMIT 9))"#
        );
        assert_eq!(
            statement(DbBackend::Sqlite, table(), rows()).to_string(SqliteQueryBuilder),
            r#"DELETE FROM "things" WHERE "rowid" IN (SELECT "rowid" FROM "things" WHERE "at" < 5 ORDER BY "at" ASC LIMIT 9)"#
        );
    }
}
