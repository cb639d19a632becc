//! Queries on `two_factor_resets`.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, sea_query::Expr};

use super::{
    TwoFactorResetId,
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
    user: &User,
    requested_by: UserId,
    key_id: &str,
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<TwoFactorResetId, DbErr> {
    Entity::update_many()
        .col_expr(Column::SupersededAt, Expr::value(now))
        .filter(Column::UserId.eq(user.id))
        .filter(Column::UsedAt.is_null())
        .filter(Column::SupersededAt.is_null())
        .exec(db)
        .await?;
    let id = TwoFactorResetId::next();
    let row = ActiveModel {
        id: Set(id),
        user_id: Set(user.id),
        requested_by: Set(Some(requested_by)),
        auth_epoch: Set(user.auth_epoch),
        key_id: Set(key_id.to_owned()),
        created_at: Set(now),
        expires_at: Set(expires_at),
        used_at: Set(None),
        superseded_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(id)
}

/// The request with this id, unless its link was spent or replaced. It may have expired.
pub(super) async fn find_open<C: ConnectionTrait>(db: &C, id: TwoFactorResetId) -> Result<Option<Model>, DbErr> {
    let open = Entity::find_by_id(id).filter(Column::UsedAt.is_null()).filter(Column::SupersededAt.is_null());
    open.one(db).await
}

/// Spends the link. False when someone else did, or it is no longer good.
pub(super) async fn consume<C: ConnectionTrait>(db: &C, id: TwoFactorResetId, now: Timestamp) -> Result<bool, DbErr> {
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

/// Deletes up to `batch` requests that expired before `before`; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep<C: ConnectionTrait>(db: &C, before: Timestamp, batch: u64) -> Result<u64, DbErr> {
    db::sweep(db, Entity, Column::ExpiresAt, Column::ExpiresAt.lt(before), batch).await
}
