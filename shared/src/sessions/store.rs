//! Queries on `sessions`.

use std::time::Duration;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};

use super::{
    Principal, SessionId,
    cache::Found,
    entity::{ActiveModel, Column, Entity, Model},
};
use crate::{
    clock::Timestamp,
    db, enforcement, passkey, totp,
    users::{self, User, UserId},
};

/// Adds a session.
///
/// # Errors
/// When the database fails.
pub(super) async fn insert<C: ConnectionTrait>(db: &C, row: ActiveModel) -> Result<(), DbErr> {
    Entity::insert(row).exec_without_returning(db).await.map(|_| ())
}

/// The session with this digest, and all that it is judged by.
///
/// # Errors
/// When the database fails.
pub(super) async fn find<C: ConnectionTrait>(db: &C, digest: &[u8]) -> Result<Option<Found>, DbErr> {
    let Some(session) = Entity::find().filter(Column::Digest.eq(digest)).one(db).await? else { return Ok(None) };
    let user_id = session.user_id;
    let (user, rules, has_factor) =
        tokio::try_join!(users::find(db, user_id), enforcement::rules_of(db, user_id), has_factor(db, user_id))?;
    Ok(user.map(|user| Found { session, user, rules, has_factor }))
}

/// Whether a user has an authenticator app or a passkey: something that proves more than a password and a mailbox.
///
/// # Errors
/// When the database fails.
pub async fn has_factor<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<bool, DbErr> {
    Ok(totp::is_enabled(db, user_id).await? || passkey::exist(db, user_id).await?)
}

/// Records a use.
///
/// # Errors
/// When the database fails.
pub(super) async fn touch<C: ConnectionTrait>(db: &C, id: SessionId, now: Timestamp) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::SeenAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::SeenAt.lt(now))
        .exec(db)
        .await
        .map(|_| ())
}

/// Ends a session of this user. False when it had ended, is another user's or does not exist.
///
/// # Errors
/// When the database fails.
pub async fn revoke<C: ConnectionTrait>(db: &C, user_id: UserId, id: SessionId, now: Timestamp) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::UserId.eq(user_id))
        .filter(Column::RevokedAt.is_null())
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Ends all sessions of this user but `kept`; returns how many ended.
///
/// # Errors
/// When the database fails.
pub async fn revoke_others<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    kept: Option<SessionId>,
    now: Timestamp,
) -> Result<u64, DbErr> {
    let mut update = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now))
        .filter(Column::UserId.eq(user_id))
        .filter(Column::RevokedAt.is_null())
        .filter(Column::ExpiresAt.gt(now));
    if let Some(kept) = kept {
        update = update.filter(Column::Id.ne(kept));
    }
    update.exec(db).await.map(|result| result.rows_affected)
}

/// The user's live sessions, the newest first, from after `before` on.
///
/// # Errors
/// When the database fails.
pub(super) async fn list<C: ConnectionTrait>(
    db: &C,
    user: &User,
    (age, idle): (Duration, Option<Duration>),
    (limit, before): (u64, Option<SessionId>),
    now: Timestamp,
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find()
        .filter(Column::UserId.eq(user.id))
        .filter(Column::AuthEpoch.eq(user.auth_epoch))
        .filter(Column::RevokedAt.is_null())
        .filter(Column::ExpiresAt.gt(now))
        .filter(Column::CreatedAt.gt(now - age));
    if let Some(idle) = idle {
        query = query.filter(Column::SeenAt.gt(now - idle));
    }
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.order_by_desc(Column::Id).limit(limit).all(db).await
}

/// A fresh token and proof.
pub(super) struct Renewal {
    /// SHA-256 of the token.
    pub digest: Vec<u8>,
    /// How the user proved who they are.
    pub amr: String,
    /// When.
    pub at: Timestamp,
}

/// Gives a live session its new token and proof. `None` when it ended or was renewed since `seen` was read.
///
/// # Errors
/// When the database fails.
pub(super) async fn renew<C: ConnectionTrait>(
    db: &C,
    seen: &Principal,
    renewal: Renewal,
) -> Result<Option<Model>, DbErr> {
    let rows = Entity::update_many()
        .col_expr(Column::Digest, Expr::value(renewal.digest))
        .col_expr(Column::Amr, Expr::value(renewal.amr))
        .col_expr(Column::ReauthenticatedAt, Expr::value(renewal.at))
        .filter(Column::Id.eq(seen.session_id))
        .filter(Column::Digest.eq(seen.digest.clone()))
        .filter(Column::AuthEpoch.eq(seen.user.auth_epoch))
        .filter(Column::RevokedAt.is_null())
        .exec_with_returning(db)
        .await?;
    Ok(rows.into_iter().next())
}

/// Carries a session over to a new epoch of its user.
///
/// # Errors
/// When the database fails.
pub(super) async fn carry_over<C: ConnectionTrait>(db: &C, id: SessionId, auth_epoch: i64) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::AuthEpoch, Expr::value(auth_epoch))
        .filter(Column::Id.eq(id))
        .exec(db)
        .await
        .map(|_| ())
}

/// Deletes up to `batch` sessions that ended before `before`; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep<C: ConnectionTrait>(db: &C, before: Timestamp, batch: u64) -> Result<u64, DbErr> {
    // One after the other, for each has an index of its own.
    let expired = db::sweep(db, Entity, Column::ExpiresAt, Column::ExpiresAt.lt(before), batch).await?;
    let left = batch.saturating_sub(expired);
    let revoked = db::sweep(db, Entity, Column::RevokedAt, Column::RevokedAt.lt(before), left).await?;
    Ok(expired + revoked)
}
