//! Queries on `totps`.

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, OnConflict},
};
use uuid::Uuid;

use super::entity::{ActiveModel, Column, Entity, Model};
use crate::{clock::Timestamp, secret::Sealed, users::UserId};

/// The row of a user, which nobody changes until the transaction ends: otherwise a secret that the job seals anew between
/// reading and [`accept`] would make a right code look like a used one.
pub(super) async fn find_for_update<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(user_id).lock_exclusive().one(db).await
}

/// As a condition on a row of `users`: the user has an app in force.
pub const IS_ENABLED: &str =
    "EXISTS (SELECT 1 FROM totps WHERE totps.user_id = users.id AND totps.enabled_at IS NOT NULL)";

pub(super) async fn is_enabled<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<bool, DbErr> {
    let enabled = Entity::find_by_id(user_id).filter(Column::EnabledAt.is_not_null());
    enabled.count(db).await.map(|count| count > 0)
}

/// Begins a setup in place of an earlier one. What is in force stays.
pub(super) async fn set_setup<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    setup: Sealed,
    session_id: Uuid,
    expires_at: Timestamp,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        user_id: Set(user_id),
        key_id: Set(None),
        sealed: Set(None),
        last_step: Set(0),
        enabled_at: Set(None),
        setup_key_id: Set(Some(setup.key_id)),
        setup_sealed: Set(Some(setup.bytes)),
        setup_session_id: Set(Some(session_id)),
        setup_expires_at: Set(Some(expires_at)),
    };
    let columns = [Column::SetupKeyId, Column::SetupSealed, Column::SetupSessionId, Column::SetupExpiresAt];
    let replace = OnConflict::column(Column::UserId).update_columns(columns).to_owned();
    Entity::insert(row).on_conflict(replace).exec_without_returning(db).await.map(|_| ())
}

/// Puts the setup that was read in force. False when another one took its place.
pub(super) async fn enable<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    setup: Sealed,
    step: i64,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .set(ActiveModel {
            key_id: Set(Some(setup.key_id)),
            sealed: Set(Some(setup.bytes.clone())),
            last_step: Set(step),
            enabled_at: Set(Some(now)),
            setup_key_id: Set(None),
            setup_sealed: Set(None),
            setup_session_id: Set(None),
            setup_expires_at: Set(None),
            ..ActiveModel::default()
        })
        .filter(Column::UserId.eq(user_id))
        .filter(Column::SetupSealed.eq(setup.bytes))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Accepts a step of the secret that was read, once. False when it or a later one was accepted before.
pub(super) async fn accept<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    read: &[u8],
    step: i64,
    resealed: Option<Sealed>,
) -> Result<bool, DbErr> {
    let mut update = Entity::update_many().col_expr(Column::LastStep, Expr::value(step));
    if let Some(resealed) = resealed {
        update = update
            .col_expr(Column::KeyId, Expr::value(resealed.key_id))
            .col_expr(Column::Sealed, Expr::value(resealed.bytes));
    }
    let result = update
        .filter(Column::UserId.eq(user_id))
        .filter(Column::Sealed.eq(read.to_vec()))
        .filter(Column::LastStep.lt(step))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Up to `batch` users after `after` with a secret that another key than `current` sealed, in their order.
pub(super) async fn find_older<C: ConnectionTrait>(
    db: &C,
    current: &str,
    after: UserId,
    batch: u64,
) -> Result<Vec<Model>, DbErr> {
    let is_older = Condition::any()
        .add(Column::KeyId.ne(current).and(Column::Sealed.is_not_null()))
        .add(Column::SetupKeyId.ne(current).and(Column::SetupSealed.is_not_null()));
    let next = Entity::find().filter(is_older).filter(Column::UserId.gt(after));
    next.order_by_asc(Column::UserId).limit(batch).all(db).await
}

/// Puts the same secret, sealed anew, in place of the one that was read. False when it changed meanwhile.
pub(super) async fn replace_sealed<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    (is_setup, read): (bool, Vec<u8>),
    resealed: Sealed,
) -> Result<bool, DbErr> {
    let (key_id, sealed) =
        if is_setup { (Column::SetupKeyId, Column::SetupSealed) } else { (Column::KeyId, Column::Sealed) };
    let result = Entity::update_many()
        .col_expr(key_id, Expr::value(resealed.key_id))
        .col_expr(sealed, Expr::value(resealed.bytes))
        .filter(Column::UserId.eq(user_id))
        .filter(sealed.eq(read))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// How many secrets each key sealed, those of setups included.
///
/// # Errors
/// When the database fails.
pub async fn count_by_key<C: ConnectionTrait>(db: &C) -> Result<Vec<(String, i64)>, DbErr> {
    let mut counts = Vec::new();
    for (key_id, sealed) in [(Column::KeyId, Column::Sealed), (Column::SetupKeyId, Column::SetupSealed)] {
        let found = Entity::find()
            .select_only()
            .column(key_id)
            .column_as(Column::UserId.count(), "secrets")
            .filter(sealed.is_not_null())
            .group_by(key_id)
            .into_tuple::<(Option<String>, i64)>()
            .all(db)
            .await?;
        counts.extend(found.into_iter().filter_map(|(key_id, count)| Some((key_id?, count))));
    }
    Ok(counts)
}

/// Removes what is in force, and a setup with it. False when nothing is in force.
pub(super) async fn remove<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<bool, DbErr> {
    let result = Entity::delete_many()
        .filter(Column::UserId.eq(user_id))
        .filter(Column::EnabledAt.is_not_null())
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}
