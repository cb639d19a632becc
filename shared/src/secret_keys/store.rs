//! Queries on `project_secret_keys`.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};

use super::{
    SecretKeyId,
    entity::{ActiveModel, Column, Entity, Model},
};
use crate::{clock::Timestamp, projects::ProjectId};

pub(super) async fn insert<C: ConnectionTrait>(db: &C, row: ActiveModel) -> Result<(), DbErr> {
    Entity::insert(row).exec_without_returning(db).await.map(|_| ())
}

/// The key with this hash, whosever, unless it leaked.
pub(super) async fn find_by_hash<C: ConnectionTrait>(db: &C, hash: &str) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::SecretHash.eq(hash)).filter(Column::ExposedAt.is_null()).one(db).await
}

/// Marks the key with this hash as leaked. `None` when there is none, or it was before.
pub(super) async fn expose<C: ConnectionTrait>(db: &C, hash: &str, now: Timestamp) -> Result<Option<Model>, DbErr> {
    let rows = Entity::update_many()
        .col_expr(Column::ExposedAt, Expr::value(now))
        .filter(Column::SecretHash.eq(hash))
        .filter(Column::ExposedAt.is_null())
        .exec_with_returning(db)
        .await?;
    Ok(rows.into_iter().next())
}

/// The key with this id, whoever asks: for jobs.
pub(super) async fn find_any<C: ConnectionTrait>(db: &C, id: SecretKeyId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// The project's key with this id.
pub(super) async fn find<C: ConnectionTrait>(
    db: &C,
    project_id: ProjectId,
    id: SecretKeyId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::ProjectId.eq(project_id)).one(db).await
}

/// The project's keys, the newest first, from after `before` on.
pub(super) async fn list<C: ConnectionTrait>(
    db: &C,
    project_id: ProjectId,
    (limit, before): (u64, Option<SecretKeyId>),
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find().filter(Column::ProjectId.eq(project_id));
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.order_by_desc(Column::Id).limit(limit).all(db).await
}

/// Gives a key another secret. `None` when the project has no such key.
pub(super) async fn roll<C: ConnectionTrait>(
    db: &C,
    key: (ProjectId, SecretKeyId),
    (hash, mask): (&str, &str),
    now: Timestamp,
) -> Result<Option<Model>, DbErr> {
    let rows = Entity::update_many()
        .col_expr(Column::SecretHash, Expr::value(hash))
        .col_expr(Column::Mask, Expr::value(mask))
        .col_expr(Column::RolledAt, Expr::value(now))
        .col_expr(Column::ExposedAt, Expr::value(Option::<Timestamp>::None))
        .filter(Column::ProjectId.eq(key.0))
        .filter(Column::Id.eq(key.1))
        .exec_with_returning(db)
        .await?;
    Ok(rows.into_iter().next())
}

/// Deletes a key. False when the project has no such key.
pub(super) async fn delete<C: ConnectionTrait>(db: &C, project_id: ProjectId, id: SecretKeyId) -> Result<bool, DbErr> {
    let ours = Entity::delete_many().filter(Column::Id.eq(id)).filter(Column::ProjectId.eq(project_id));
    Ok(ours.exec(db).await?.rows_affected == 1)
}

/// Records a use, unless one was recorded after `unless_after`.
pub(super) async fn touch<C: ConnectionTrait>(
    db: &C,
    id: SecretKeyId,
    now: Timestamp,
    unless_after: Timestamp,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Condition::any().add(Column::UsedAt.is_null()).add(Column::UsedAt.lte(unless_after)))
        .exec(db)
        .await
        .map(|_| ())
}
