//! Queries on `trusted_devices`.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, sea_query::Expr};

use super::entity::{ActiveModel, Column, Entity, Model};
use crate::{clock::Timestamp, users::UserId};

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
