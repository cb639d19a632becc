//! Queries on `passwords`.

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryResult, QuerySelect,
    sea_query::{Expr, OnConflict},
};

use super::{
    StoredPassword,
    entity::{ActiveModel, Column, Entity},
};
use crate::{clock::Timestamp, users::UserId};

/// The stored password of a user.
///
/// # Errors
/// When the database fails.
pub async fn find<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Option<StoredPassword>, DbErr> {
    let row = Entity::find_by_id(user_id).one(db).await?;
    Ok(row.map(|row| StoredPassword { phc: row.phc, key_id: row.key_id }))
}

/// The stored password in a row of a query that selects `phc` and `key_id` of an outer join with `passwords`.
///
/// # Errors
/// When a column is missing.
pub fn stored_in(row: &QueryResult) -> Result<Option<StoredPassword>, DbErr> {
    let stored: (Option<String>, Option<String>) = (row.try_get("", "phc")?, row.try_get("", "key_id")?);
    Ok(stored.0.zip(stored.1).map(|(phc, key_id)| StoredPassword { phc, key_id }))
}

/// Sets or replaces the password of a user.
///
/// # Errors
/// When the database fails.
pub async fn set<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    stored: StoredPassword,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row =
        ActiveModel { user_id: Set(user_id), phc: Set(stored.phc), key_id: Set(stored.key_id), updated_at: Set(now) };
    let replace =
        OnConflict::column(Column::UserId).update_columns([Column::Phc, Column::KeyId, Column::UpdatedAt]).to_owned();
    Entity::insert(row).on_conflict(replace).exec_without_returning(db).await.map(|_| ())
}

/// Replaces a hash by one of the same password, unless it was changed meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn upgrade<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    before: &StoredPassword,
    after: StoredPassword,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Phc, Expr::value(after.phc))
        .col_expr(Column::KeyId, Expr::value(after.key_id))
        .filter(Column::UserId.eq(user_id))
        .filter(Column::Phc.eq(before.phc.as_str()))
        .exec(db)
        .await
        .map(|_| ())
}

/// Removes the password of a user.
///
/// # Errors
/// When the database fails.
pub async fn remove<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<(), DbErr> {
    Entity::delete_by_id(user_id).exec(db).await.map(|_| ())
}

/// How many passwords each key peppered.
///
/// # Errors
/// When the database fails.
pub async fn count_by_key<C: ConnectionTrait>(db: &C) -> Result<Vec<(String, i64)>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::KeyId)
        .column_as(Column::UserId.count(), "passwords")
        .group_by(Column::KeyId)
        .into_tuple()
        .all(db)
        .await
}
