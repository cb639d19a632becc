//! Queries on `backup_codes`.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, sea_query::Expr,
};

use super::entity::{ActiveModel, BackupCodeId, Column, Entity, Model};
use crate::{clock::Timestamp, users::UserId};

pub(super) async fn insert<C: ConnectionTrait>(db: &C, rows: Vec<ActiveModel>) -> Result<(), DbErr> {
    Entity::insert_many(rows).exec_without_returning(db).await.map(|_| ())
}

/// The user's codes that were not used.
pub(super) async fn find_live<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::UserId.eq(user_id)).filter(Column::UsedAt.is_null()).all(db).await
}

/// Uses a code up. False when it was used or made void meanwhile.
pub(super) async fn consume<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    id: BackupCodeId,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::UserId.eq(user_id))
        .filter(Column::UsedAt.is_null())
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// As a value on a row of `users`: how many codes the user has left.
pub const COUNT_LEFT: &str =
    "(SELECT COUNT(*) FROM backup_codes WHERE backup_codes.user_id = users.id AND backup_codes.used_at IS NULL)";

/// How many codes the user has left.
pub(super) async fn count_left<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::UserId.eq(user_id)).filter(Column::UsedAt.is_null()).count(db).await
}

/// How many codes that were not used depend on each key.
///
/// # Errors
/// When the database fails.
pub async fn count_by_key<C: ConnectionTrait>(db: &C) -> Result<Vec<(String, i64)>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::KeyId)
        .column_as(Column::Id.count(), "codes")
        .filter(Column::UsedAt.is_null())
        .group_by(Column::KeyId)
        .into_tuple()
        .all(db)
        .await
}

/// Makes all codes of the user void.
///
/// # Errors
/// When the database fails.
pub async fn remove_all<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::UserId.eq(user_id)).exec(db).await.map(|_| ())
}
