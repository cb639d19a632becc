//! Queries on `idempotency_keys`.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use super::entity::{ActiveModel, Column, Entity, Model};
use crate::{clock::Timestamp, db};

/// The answer that is kept under this digest.
pub(super) async fn find<C: ConnectionTrait>(db: &C, digest: &[u8], now: Timestamp) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(digest.to_vec()).filter(Column::ExpiresAt.gt(now)).one(db).await
}

/// Keeps an answer in place of one that is too old.
///
/// # Errors
/// A unique violation when another request with this digest has committed.
pub(super) async fn insert<C: ConnectionTrait>(
    db: &C,
    digest: &[u8],
    row: ActiveModel,
    now: Timestamp,
) -> Result<(), DbErr> {
    let old = Entity::delete_many().filter(Column::Digest.eq(digest)).filter(Column::ExpiresAt.lte(now));
    old.exec(db).await?;
    Entity::insert(row).exec_without_returning(db).await.map(|_| ())
}

/// Deletes up to `batch` answers that are too old; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep<C: ConnectionTrait>(db: &C, now: Timestamp, batch: u64) -> Result<u64, DbErr> {
    db::sweep(db, Entity, Column::ExpiresAt, Column::ExpiresAt.lte(now), batch).await
}
