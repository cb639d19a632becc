//! Queries on `two_factor_passkeys`.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    sea_query::OnConflict,
};

use super::entity::{Column, Entity, Model};
use crate::{clock::Timestamp, users::UserId};

/// Whether the passkeys of the user are a second factor.
pub(super) async fn are_passkeys_enabled<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<bool, DbErr> {
    Entity::find().filter(Column::UserId.eq(user_id)).count(db).await.map(|count| count > 0)
}

/// Makes the passkeys of the user a second factor. False when they are.
pub(super) async fn enable_passkeys<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let row = Model { user_id, enabled_at: now }.into_active_model();
    let keep = OnConflict::column(Column::UserId).do_nothing().to_owned();
    Entity::insert(row).on_conflict(keep).exec_without_returning(db).await.map(|rows| rows > 0)
}

/// Makes the passkeys of the user no second factor. False when they are none.
///
/// # Errors
/// When the database fails.
pub async fn disable_passkeys<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<bool, DbErr> {
    let deleted = Entity::delete_many().filter(Column::UserId.eq(user_id)).exec(db).await?;
    Ok(deleted.rows_affected > 0)
}
