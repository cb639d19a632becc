//! Queries on `password_resets`.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, sea_query::Expr,
};

use super::{
    ResetId,
    entity::{ActiveModel, Column, Entity, Model},
};
use crate::{
    clock::Timestamp,
    db,
    users::{User, UserId},
};

/// Adds a request that is good from `now` until `expires_at`, and voids the user's earlier ones.
pub(super) async fn insert<C: ConnectionTrait>(
    db: &C,
    user: Option<&User>,
    key_id: &str,
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<ResetId, DbErr> {
    let user_id = user.map(|user| user.id);
    // The same statement for nobody's address, where it finds nothing.
    Entity::update_many()
        .col_expr(Column::SupersededAt, Expr::value(now))
        .filter(Column::UserId.eq(user_id.unwrap_or(UserId(uuid::Uuid::nil()))))
        .filter(Column::UsedAt.is_null())
        .filter(Column::SupersededAt.is_null())
        .exec(db)
        .await?;
    let id = ResetId::next();
    let row = ActiveModel {
        id: Set(id),
        user_id: Set(user_id),
        auth_epoch: Set(user.map_or(0, |user| user.auth_epoch)),
        key_id: Set(key_id.to_owned()),
        created_at: Set(now),
        expires_at: Set(expires_at),
        used_at: Set(None),
        superseded_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(id)
}

/// The request with this id, if its link is still good.
pub(super) async fn find_live<C: ConnectionTrait>(db: &C, id: ResetId, now: Timestamp) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id)
        .filter(Column::UserId.is_not_null())
        .filter(Column::UsedAt.is_null())
        .filter(Column::SupersededAt.is_null())
        .filter(Column::ExpiresAt.gt(now))
        .one(db)
        .await
}

/// Spends the link. False when someone else did, or it is no longer good.
pub(super) async fn consume<C: ConnectionTrait>(db: &C, id: ResetId, now: Timestamp) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::UsedAt.is_null())
        .filter(Column::SupersededAt.is_null())
        .filter(Column::ExpiresAt.gt(now))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Whether a link of this user was spent after `since`.
pub(super) async fn was_completed<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    since: Timestamp,
) -> Result<bool, DbErr> {
    let spent = Entity::find().filter(Column::UserId.eq(user_id)).filter(Column::UsedAt.gt(since));
    spent.count(db).await.map(|count| count > 0)
}

/// Deletes up to `batch` requests that expired before `before`; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep<C: ConnectionTrait>(db: &C, before: Timestamp, batch: u64) -> Result<u64, DbErr> {
    db::sweep(db, Entity, Column::ExpiresAt, Column::ExpiresAt.lt(before), batch).await
}
