//! Queries on `passkeys`.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Expr,
};

use super::{
    PasskeyId,
    entity::{Column, Entity, Model},
};
use crate::{clock::Timestamp, users::UserId};

pub(super) async fn insert<C: ConnectionTrait>(db: &C, row: Model) -> Result<(), DbErr> {
    Entity::insert(row.into_active_model()).exec_without_returning(db).await.map(|_| ())
}

/// The passkey with this id, if it is this user's.
///
/// # Errors
/// When the database fails.
pub async fn find<C: ConnectionTrait>(db: &C, user_id: UserId, id: PasskeyId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::UserId.eq(user_id)).one(db).await
}

/// The passkey that an authenticator knows by this id, whoever's it is.
pub(super) async fn find_credential<C: ConnectionTrait>(db: &C, credential_id: &[u8]) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::CredentialId.eq(credential_id)).one(db).await
}

/// All passkeys of a user, oldest first.
pub(super) async fn of_user<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::UserId.eq(user_id)).order_by_asc(Column::Id).all(db).await
}

/// Up to `limit` passkeys of a user that were added before the passkey `before`, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    before: Option<PasskeyId>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find().filter(Column::UserId.eq(user_id)).order_by_desc(Column::Id).limit(limit);
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.all(db).await
}

/// As a condition on a row of `users`: the user has a passkey.
pub const EXIST: &str = "EXISTS (SELECT 1 FROM passkeys WHERE passkeys.user_id = users.id)";

/// Whether a user has a passkey.
///
/// # Errors
/// When the database fails.
pub async fn exist<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<bool, DbErr> {
    Entity::find().filter(Column::UserId.eq(user_id)).count(db).await.map(|count| count > 0)
}

/// All passkeys of a user, which nobody else removes until the transaction ends.
pub(super) async fn lock_of_user<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::UserId.eq(user_id)).lock_exclusive().all(db).await
}

/// Renames a passkey of this user. False when it is another user's or does not exist.
pub(super) async fn set_label<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    id: PasskeyId,
    label: &str,
) -> Result<bool, DbErr> {
    let update = Entity::update_many().col_expr(Column::Label, Expr::value(label));
    let result = update.filter(Column::Id.eq(id)).filter(Column::UserId.eq(user_id)).exec(db).await?;
    Ok(result.rows_affected == 1)
}

/// Deletes a passkey of this user. False when it is another user's or does not exist.
pub(super) async fn delete<C: ConnectionTrait>(db: &C, user_id: UserId, id: PasskeyId) -> Result<bool, DbErr> {
    let delete = Entity::delete_many().filter(Column::Id.eq(id)).filter(Column::UserId.eq(user_id));
    delete.exec(db).await.map(|result| result.rows_affected == 1)
}

/// Removes all passkeys of a user.
///
/// # Errors
/// When the database fails.
pub async fn remove_all<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::UserId.eq(user_id)).exec(db).await.map(|_| ())
}

/// Takes over what an assertion brought. False when the counter has moved since it was compared.
pub(super) async fn record_use<C: ConnectionTrait>(
    db: &C,
    (before, after): (&Model, &Model),
    now: Timestamp,
) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::Credential, Expr::value(after.credential.as_str()))
        .col_expr(Column::SignCount, Expr::value(after.sign_count))
        .col_expr(Column::IsBackedUp, Expr::value(after.is_backed_up))
        .col_expr(Column::LastUsedAt, Expr::value(now))
        .filter(Column::Id.eq(before.id))
        .filter(Column::SignCount.eq(before.sign_count))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}
