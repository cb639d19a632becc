//! Queries on `social_identities` and `social_logins`.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};

use super::{
    SocialIdentityId,
    entity::{Column, Entity, Model, SocialLoginId, pending},
};
use crate::{clock::Timestamp, db, users::UserId};

/// An identity at a provider: its name, its issuer, and what that knows the user by.
pub(super) type Key<'a> = (&'a str, &'a str, &'a str);

pub(super) async fn insert<C: ConnectionTrait>(db: &C, row: Model) -> Result<(), DbErr> {
    Entity::insert(row.into_active_model()).exec_without_returning(db).await.map(|_| ())
}

/// The identity, whoever's it is.
pub(super) async fn find_by_key<C: ConnectionTrait>(
    db: &C,
    (provider, issuer, subject): Key<'_>,
) -> Result<Option<Model>, DbErr> {
    let find = Entity::find().filter(Column::Provider.eq(provider)).filter(Column::Issuer.eq(issuer));
    find.filter(Column::Subject.eq(subject)).one(db).await
}

/// All identities of a user, oldest first.
pub(super) async fn of_user<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::UserId.eq(user_id)).order_by_asc(Column::Id).all(db).await
}

/// Up to `limit` identities of a user that were linked before the identity `before`, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    before: Option<SocialIdentityId>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find().filter(Column::UserId.eq(user_id)).order_by_desc(Column::Id).limit(limit);
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.all(db).await
}

pub(super) async fn record_use<C: ConnectionTrait>(db: &C, id: SocialIdentityId, now: Timestamp) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::LastUsedAt, Expr::value(now)).filter(Column::Id.eq(id));
    update.exec(db).await.map(|_| ())
}

pub(super) async fn delete<C: ConnectionTrait>(db: &C, user_id: UserId, id: SocialIdentityId) -> Result<(), DbErr> {
    let delete = Entity::delete_many().filter(Column::Id.eq(id)).filter(Column::UserId.eq(user_id));
    delete.exec(db).await.map(|_| ())
}

/// Removes all identities of a user. Returns how many there were.
///
/// # Errors
/// When the database fails.
pub async fn remove_all<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<u64, DbErr> {
    let deleted = Entity::delete_many().filter(Column::UserId.eq(user_id)).exec(db).await?;
    Ok(deleted.rows_affected)
}

pub(super) async fn insert_pending<C: ConnectionTrait>(db: &C, row: pending::Model) -> Result<(), DbErr> {
    pending::Entity::insert(row.into_active_model()).exec_without_returning(db).await.map(|_| ())
}

/// Uses a sign-in up, if it is this browser's and this provider's. Of two callbacks at once one finds it.
pub(super) async fn take_pending<C: ConnectionTrait>(
    db: &C,
    (id, provider): (SocialLoginId, &str),
    binding: Vec<u8>,
) -> Result<Option<pending::Model>, DbErr> {
    let delete = pending::Entity::delete_many()
        .filter(pending::Column::Id.eq(id))
        .filter(pending::Column::Provider.eq(provider))
        .filter(pending::Column::Binding.eq(binding));
    Ok(delete.exec_with_returning(db).await?.into_iter().next())
}

/// Deletes up to `batch` sign-ins that expired before `before`; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep<C: ConnectionTrait>(db: &C, before: Timestamp, batch: u64) -> Result<u64, DbErr> {
    let over = pending::Column::ExpiresAt.lt(before);
    db::sweep(db, pending::Entity, pending::Column::ExpiresAt, over, batch).await
}
