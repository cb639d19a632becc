//! Queries on `trusted_devices`.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait as _},
};

use super::entity::{ActiveModel, Column, DeviceId, Entity, Model};
use crate::{
    clock::Timestamp,
    db,
    users::{User, UserId},
};

pub(super) async fn insert<C: ConnectionTrait>(db: &C, row: ActiveModel) -> Result<(), DbErr> {
    Entity::insert(row).exec_without_returning(db).await.map(|_| ())
}

/// The user's live device with this digest.
pub(super) async fn find_live<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    digest: &[u8],
    now: Timestamp,
) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::Digest.eq(digest))
        .filter(Column::UserId.eq(user_id))
        .filter(Column::RevokedAt.is_null())
        .filter(Column::ExpiresAt.gt(now))
        .one(db)
        .await
}

/// Ends the trust in the device that has this digest, for this user.
pub(super) async fn revoke_digest<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    digest: &[u8],
    now: Timestamp,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now))
        .filter(Column::Digest.eq(digest))
        .filter(Column::UserId.eq(user_id))
        .filter(Column::RevokedAt.is_null())
        .exec(db)
        .await
        .map(|_| ())
}

/// The user's devices that were trusted after `since` and are now, the newest first, from after `before` on.
pub(super) async fn list<C: ConnectionTrait>(
    db: &C,
    user: &User,
    (limit, before): (u64, Option<DeviceId>),
    (since, now): (Timestamp, Timestamp),
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find()
        .filter(Column::UserId.eq(user.id))
        .filter(Column::AuthEpoch.eq(user.auth_epoch))
        .filter(Column::RevokedAt.is_null())
        .filter(Column::CreatedAt.gt(since))
        .filter(Column::ExpiresAt.gt(now));
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.order_by_desc(Column::Id).limit(limit).all(db).await
}

/// Names a trusted device of the user. `None` when they have no such device.
pub(super) async fn rename<C: ConnectionTrait>(
    db: &C,
    user: &User,
    (id, name): (DeviceId, &str),
    now: Timestamp,
) -> Result<Option<Model>, DbErr> {
    let rows = Entity::update_many()
        .col_expr(Column::Name, Expr::value(name))
        .filter(Column::Id.eq(id))
        .filter(Column::UserId.eq(user.id))
        .filter(Column::AuthEpoch.eq(user.auth_epoch))
        .filter(Column::RevokedAt.is_null())
        .filter(Column::ExpiresAt.gt(now))
        .exec_with_returning(db)
        .await?;
    Ok(rows.into_iter().next())
}

/// Ends the trust in one device of the user. False when they have no such device.
pub(super) async fn revoke<C: ConnectionTrait>(
    db: &C,
    user: &User,
    id: DeviceId,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::UserId.eq(user.id))
        .filter(Column::AuthEpoch.eq(user.auth_epoch))
        .filter(Column::RevokedAt.is_null())
        .filter(Column::ExpiresAt.gt(now))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Deletes up to `batch` trusted devices that expired, and as many known ones that were not used, before these times.
///
/// # Errors
/// When the database fails.
pub async fn sweep<C: ConnectionTrait>(
    db: &C,
    (expired_before, unused_before): (Timestamp, Timestamp),
    batch: u64,
) -> Result<(), DbErr> {
    db::sweep(db, Entity, Column::ExpiresAt, Column::ExpiresAt.lt(expired_before), batch).await?;
    // A device that was forgotten early stays as long as the others: it tells that the user signed in before.
    let is_unused = Expr::col("expires_at").lt(unused_before).and(Expr::col("seen_at").lt(unused_before));
    db::sweep(db, "known_devices", "expires_at", is_unused, batch).await?;
    Ok(())
}
