//! Queries on `api_keys`.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, LockBehavior, LockType},
};

use super::{
    ApiKeyId,
    entity::{ActiveModel, Column, Entity, Model},
};
use crate::{
    clock::Timestamp,
    users::{User, UserId},
};

/// Rows with one mask that are compared with a key of a former installation, at most.
const LEGACY_CANDIDATES: u64 = 4;
/// Ids in one statement: the databases bind tens of thousands of values at most.
const IDS: usize = 5_000;

pub(super) async fn insert<C: ConnectionTrait>(db: &C, row: ActiveModel) -> Result<(), DbErr> {
    Entity::insert(row).exec_without_returning(db).await.map(|_| ())
}

/// The key with this hash, whoever's.
pub(super) async fn find_by_hash<C: ConnectionTrait>(db: &C, hash: &str) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::SecretHash.eq(hash)).one(db).await
}

/// The keys of former installations with this mask that were not used here yet.
pub(super) async fn find_legacy<C: ConnectionTrait>(db: &C, mask: &str) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::Mask.eq(mask))
        .filter(Column::SecretHash.like("pbkdf2_sha256$%"))
        .limit(LEGACY_CANDIDATES)
        .all(db)
        .await
}

/// Replaces the hash of a former installation. False when another request did.
pub(super) async fn rehash<C: ConnectionTrait>(db: &C, key: &Model, hash: &str) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::SecretHash, Expr::value(hash))
        .filter(Column::Id.eq(key.id))
        .filter(Column::SecretHash.eq(key.secret_hash.as_str()))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// The key with this id, whoever asks: for jobs.
pub(super) async fn find_any<C: ConnectionTrait>(db: &C, id: ApiKeyId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// The user's key with this id.
pub(super) async fn find<C: ConnectionTrait>(db: &C, user_id: UserId, id: ApiKeyId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::UserId.eq(user_id)).one(db).await
}

/// The user's keys, the newest first, from after `before` on.
pub(super) async fn list<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    (limit, before): (u64, Option<ApiKeyId>),
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find().filter(Column::UserId.eq(user_id));
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.order_by_desc(Column::Id).limit(limit).all(db).await
}

/// How many of the user's keys can be used that were active after `since`.
pub(super) async fn count_active<C: ConnectionTrait>(db: &C, user: &User, since: Timestamp) -> Result<u64, DbErr> {
    Entity::find()
        .filter(Column::UserId.eq(user.id))
        .filter(Column::AuthEpoch.eq(user.auth_epoch))
        .filter(Column::ExpiredAt.is_null())
        .filter(Column::ExposedAt.is_null())
        .filter(Column::ActiveAt.gt(since))
        .count(db)
        .await
}

/// Changes a key of the user. `None` when they have no such key.
pub(super) async fn change<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    id: ApiKeyId,
    change: ActiveModel,
) -> Result<Option<Model>, DbErr> {
    let rows = Entity::update_many()
        .set(change)
        .filter(Column::Id.eq(id))
        .filter(Column::UserId.eq(user_id))
        .exec_with_returning(db)
        .await?;
    Ok(rows.into_iter().next())
}

/// Deletes a key of the user. False when they have no such key.
pub(super) async fn delete<C: ConnectionTrait>(db: &C, user_id: UserId, id: ApiKeyId) -> Result<bool, DbErr> {
    let result = Entity::delete_many().filter(Column::Id.eq(id)).filter(Column::UserId.eq(user_id)).exec(db).await?;
    Ok(result.rows_affected == 1)
}

/// Records a use, unless one was recorded after `unless_after`. Warnings are void with it.
pub(super) async fn touch<C: ConnectionTrait>(
    db: &C,
    id: ApiKeyId,
    now: Timestamp,
    unless_after: Timestamp,
) -> Result<(), DbErr> {
    let none = || Expr::value(Option::<Timestamp>::None);
    Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now))
        .col_expr(Column::ActiveAt, Expr::value(now))
        .col_expr(Column::Warned30At, none())
        .col_expr(Column::Warned7At, none())
        .filter(Column::Id.eq(id))
        .filter(Column::ExpiredAt.is_null())
        .filter(Condition::any().add(Column::UsedAt.is_null()).add(Column::UsedAt.lte(unless_after)))
        .exec(db)
        .await
        .map(|_| ())
}

/// Marks a key as exposed. False when it was before.
pub(super) async fn expose<C: ConnectionTrait>(db: &C, key: &Model, now: Timestamp) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::ExposedAt, Expr::value(now))
        .filter(Column::Id.eq(key.id))
        .filter(Column::SecretHash.eq(key.secret_hash.as_str()))
        .filter(Column::ExposedAt.is_null())
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// What is audited about a key now and then.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    /// That it stands in queries.
    Query,
    /// That an organization refuses it.
    Refusal,
}

/// Whether this has not been audited since `before`; from now on it has.
pub(super) async fn note<C: ConnectionTrait>(
    db: &C,
    id: ApiKeyId,
    note: Note,
    (now, before): (Timestamp, Timestamp),
) -> Result<bool, DbErr> {
    let column = match note {
        Note::Query => Column::QueryNotedAt,
        Note::Refusal => Column::RefusalNotedAt,
    };
    let result = Entity::update_many()
        .col_expr(column, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Condition::any().add(column.is_null()).add(column.lte(before)))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// What the sweep does about keys that were not used for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Marks them expired.
    Expire,
    /// Marks them as warned of 7 days that are left.
    Warn7,
    /// Marks them as warned of 30 days that are left.
    Warn30,
}

/// Marks up to `limit` keys that were last active after `after` and not after `until`, and that are not marked yet. Keys
/// that another sweep is at are left to it.
///
/// Two statements: as one, `id IN (SELECT … LIMIT …)`, PostgreSQL may look for the batch again for every row that is due.
pub(super) async fn mark<C: ConnectionTrait>(
    db: &C,
    stage: Stage,
    (after, until): (Timestamp, Timestamp),
    now: Timestamp,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let column = match stage {
        Stage::Expire => Column::ExpiredAt,
        Stage::Warn7 => Column::Warned7At,
        Stage::Warn30 => Column::Warned30At,
    };
    let batch = Entity::find()
        .filter(Column::ActiveAt.gt(after))
        .filter(Column::ActiveAt.lte(until))
        .filter(column.is_null())
        .filter(Column::ExpiredAt.is_null())
        .filter(Column::ExposedAt.is_null())
        .order_by_asc(Column::ActiveAt)
        .limit(limit)
        // SQLite has no row locks: there the transaction is the only writer.
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .all(db)
        .await?;
    for part in batch.chunks(IDS) {
        Entity::update_many()
            .col_expr(column, Expr::value(now))
            .filter(Column::Id.is_in(part.iter().map(|key| key.id)))
            .exec(db)
            .await?;
    }
    Ok(batch)
}
