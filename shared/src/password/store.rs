//! Queries on `passwords`.

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, Statement,
    sea_query::{Expr, OnConflict},
};

use super::{
    StoredPassword,
    entity::{ActiveModel, Column, Entity},
};
use crate::{
    clock::Timestamp,
    users::{Email, User, UserId},
};

/// The stored password of a user.
///
/// # Errors
/// When the database fails.
pub async fn find<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Option<StoredPassword>, DbErr> {
    let row = Entity::find_by_id(user_id).one(db).await?;
    Ok(row.map(|row| StoredPassword { phc: row.phc, key_id: row.key_id }))
}

/// The user with this address and their stored password, in one query.
///
/// # Errors
/// When the database fails.
pub async fn find_with_user<C: ConnectionTrait>(
    db: &C,
    email: &Email,
) -> Result<Option<(User, Option<StoredPassword>)>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT users.*, passwords.phc, passwords.key_id FROM users
         LEFT JOIN passwords ON passwords.user_id = users.id WHERE users.email_normalised = $1",
        [email.normalised().into()],
    );
    let Some(row) = db.query_one_raw(statement).await? else { return Ok(None) };
    let stored = match (row.try_get("", "phc")?, row.try_get("", "key_id")?) {
        (Some(phc), Some(key_id)) => Some(StoredPassword { phc, key_id }),
        _ => None,
    };
    Ok(Some((User::from_query_result(&row, "")?, stored)))
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
