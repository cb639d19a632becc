//! Queries on `email_verifications`.

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    sea_query::{Expr, ExprTrait},
};

use super::{
    VerificationId,
    entity::{ActiveModel, Column, Entity, Model},
};
use crate::{
    clock::Timestamp,
    db,
    password::StoredPassword,
    users::{Email, UserId},
};

/// What a new row says.
pub(super) struct Request<'a> {
    pub user_id: Option<UserId>,
    pub email: &'a Email,
    pub previous_address: Option<String>,
    pub credentials: Option<StoredPassword>,
    pub key_id: &'a str,
    pub created_at: Timestamp,
    pub code_expires_at: Timestamp,
    pub link_expires_at: Timestamp,
}

pub(super) async fn insert<C: ConnectionTrait>(db: &C, request: Request<'_>) -> Result<VerificationId, DbErr> {
    let id = VerificationId::next();
    let (password_phc, password_key_id) =
        request.credentials.map(|stored| (Some(stored.phc), Some(stored.key_id))).unwrap_or_default();
    let row = ActiveModel {
        id: Set(id),
        user_id: Set(request.user_id),
        address: Set(request.email.address().to_owned()),
        address_normalised: Set(request.email.normalised().to_owned()),
        previous_address: Set(request.previous_address),
        password_phc: Set(password_phc),
        password_key_id: Set(password_key_id),
        key_id: Set(request.key_id.to_owned()),
        attempts: Set(0),
        created_at: Set(request.created_at),
        code_expires_at: Set(request.code_expires_at),
        link_expires_at: Set(request.link_expires_at),
        used_at: Set(None),
        cancelled_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(id)
}

pub(super) async fn find<C: ConnectionTrait>(db: &C, id: VerificationId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// Counts one try at the newest code for an address, before it is compared. `None` when there is no live one.
pub(super) async fn reserve_attempt<C: ConnectionTrait>(
    db: &C,
    email: &Email,
    max_attempts: i32,
    now: Timestamp,
) -> Result<Option<Model>, DbErr> {
    let newest = Entity::find()
        .filter(Column::AddressNormalised.eq(email.normalised()))
        .filter(Column::UserId.is_not_null())
        .filter(Column::UsedAt.is_null())
        .filter(Column::CancelledAt.is_null())
        .filter(Column::CodeExpiresAt.gt(now))
        .order_by_desc(Column::Id)
        .one(db)
        .await?;
    let Some(newest) = newest else { return Ok(None) };
    let rows = Entity::update_many()
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .filter(Column::Id.eq(newest.id))
        .filter(Column::Attempts.lt(max_attempts))
        .exec_with_returning(db)
        .await?;
    Ok(rows.into_iter().next())
}

/// Spends a verification. False when someone else did, or it is void.
pub(super) async fn consume<C: ConnectionTrait>(db: &C, id: VerificationId, now: Timestamp) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::UsedAt.is_null())
        .filter(Column::CancelledAt.is_null())
        .filter(Column::LinkExpiresAt.gt(now))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Voids everything that waits for this user's proof.
///
/// # Errors
/// When the database fails.
pub async fn cancel_all<C: ConnectionTrait>(db: &C, user_id: UserId, now: Timestamp) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::CancelledAt, Expr::value(now))
        .filter(Column::UserId.eq(user_id))
        .filter(Column::UsedAt.is_null())
        .filter(Column::CancelledAt.is_null())
        .exec(db)
        .await
        .map(|_| ())
}

/// Voids a change of address that waits for proof.
///
/// # Errors
/// When the database fails.
pub async fn cancel_changes<C: ConnectionTrait>(db: &C, user_id: UserId, now: Timestamp) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::CancelledAt, Expr::value(now))
        .filter(Column::UserId.eq(user_id))
        .filter(Column::PreviousAddress.is_not_null())
        .filter(Column::UsedAt.is_null())
        .filter(Column::CancelledAt.is_null())
        .exec(db)
        .await
        .map(|_| ())
}

/// Deletes up to `batch` verifications whose link expired before `before`; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep<C: ConnectionTrait>(db: &C, before: Timestamp, batch: u64) -> Result<u64, DbErr> {
    db::sweep(db, Entity, Column::LinkExpiresAt, Column::LinkExpiresAt.lt(before), batch).await
}
