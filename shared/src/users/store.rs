//! Queries on `users`.

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    Statement,
    sea_query::{Expr, ExprTrait},
};

use super::{
    Email, UserId,
    entity::{ActiveModel, Column, Entity, Model},
    flow::Profile,
};
use crate::clock::Timestamp;

/// The user with this id.
///
/// # Errors
/// When the database fails.
pub async fn find<C: ConnectionTrait>(db: &C, id: UserId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// The users with these ids, in their order of creation; unknown ids are left out.
///
/// # Errors
/// When the database fails.
pub async fn list<C: ConnectionTrait>(db: &C, ids: &[UserId]) -> Result<Vec<Model>, DbErr> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Entity::find().filter(Column::Id.is_in(ids.iter().copied())).order_by_asc(Column::Id).all(db).await
}

/// Makes everything that refers to a user wait for this transaction, and for what was before it. Returns the user as they
/// are then.
///
/// # Errors
/// When the database fails.
pub async fn lock<C: ConnectionTrait>(db: &C, id: UserId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(db).await
}

/// Removes a user and everything that refers to them.
///
/// # Errors
/// When the database fails.
pub async fn delete<C: ConnectionTrait>(db: &C, id: UserId) -> Result<(), DbErr> {
    Entity::delete_by_id(id).exec(db).await.map(|_| ())
}

/// The user with this address.
///
/// # Errors
/// When the database fails.
pub async fn find_by_email<C: ConnectionTrait>(db: &C, email: &Email) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::EmailNormalised.eq(email.normalised())).one(db).await
}

/// Whether there is no user at all.
///
/// # Errors
/// When the database fails.
pub async fn is_empty<C: ConnectionTrait>(db: &C) -> Result<bool, DbErr> {
    Entity::find().count(db).await.map(|count| count == 0)
}

/// Makes two first sign-ups take turns, so that one of them is the first.
///
/// # Errors
/// When the database fails.
pub async fn lock_while_empty<C: ConnectionTrait>(db: &C) -> Result<(), DbErr> {
    if db.get_database_backend() == DbBackend::Postgres {
        let lock = Statement::from_string(DbBackend::Postgres, "SELECT pg_advisory_xact_lock(7236021)");
        db.execute_raw(lock).await?;
    }
    Ok(())
}

/// Adds a user whose address is not proven yet. The first user of an installation is its admin.
///
/// # Errors
/// A unique violation when the address is taken.
pub async fn create<C: ConnectionTrait>(
    db: &C,
    email: &Email,
    profile: Profile,
    is_instance_admin: bool,
    now: Timestamp,
) -> Result<UserId, DbErr> {
    let id = UserId::next();
    let row = ActiveModel {
        id: Set(id),
        email: Set(email.address().to_owned()),
        email_normalised: Set(email.normalised().to_owned()),
        email_verified_at: Set(None),
        pending_email: Set(None),
        pending_email_until: Set(None),
        first_name: Set(profile.first_name),
        last_name: Set(profile.last_name),
        username: Set(None),
        image_url: Set(None),
        is_instance_admin: Set(is_instance_admin),
        auth_epoch: Set(1),
        disabled_at: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(id)
}

/// Records the proof of the present address.
///
/// # Errors
/// When the database fails.
pub async fn mark_verified<C: ConnectionTrait>(db: &C, id: UserId, now: Timestamp) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::EmailVerifiedAt, Expr::value(now))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::EmailVerifiedAt.is_null())
        .exec(db)
        .await
        .map(|_| ())
}

/// Remembers the address that the user wants to change to and until when it waits for proof; `None` forgets it.
///
/// # Errors
/// When the database fails.
pub async fn set_pending_email<C: ConnectionTrait>(
    db: &C,
    id: UserId,
    pending: Option<(&Email, Timestamp)>,
) -> Result<(), DbErr> {
    let (address, until) = pending.map(|(email, until)| (email.address().to_owned(), until)).unzip();
    Entity::update_many()
        .col_expr(Column::PendingEmail, Expr::value(address))
        .col_expr(Column::PendingEmailUntil, Expr::value(until))
        .filter(Column::Id.eq(id))
        .exec(db)
        .await
        .map(|_| ())
}

/// Takes over a proven new address.
///
/// # Errors
/// A unique violation when another user has it by now.
pub async fn change_email<C: ConnectionTrait>(db: &C, id: UserId, email: &Email, now: Timestamp) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Email, Expr::value(email.address()))
        .col_expr(Column::EmailNormalised, Expr::value(email.normalised()))
        .col_expr(Column::EmailVerifiedAt, Expr::value(now))
        .col_expr(Column::PendingEmail, Expr::value(Option::<String>::None))
        .col_expr(Column::PendingEmailUntil, Expr::value(Option::<Timestamp>::None))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .exec(db)
        .await
        .map(|_| ())
}

/// Ends everything the user holds and returns the new epoch.
///
/// # Errors
/// When the database fails or there is no such user.
pub async fn bump_epoch<C: ConnectionTrait>(db: &C, id: UserId, now: Timestamp) -> Result<i64, DbErr> {
    let rows = Entity::update_many()
        .col_expr(Column::AuthEpoch, Expr::col(Column::AuthEpoch).add(1))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .exec_with_returning(db)
        .await?;
    rows.first().map(|user| user.auth_epoch).ok_or_else(|| DbErr::RecordNotFound(format!("user {id}")))
}

/// Changes the names that are given.
///
/// # Errors
/// When the database fails.
pub async fn set_names<C: ConnectionTrait>(db: &C, id: UserId, profile: Profile, now: Timestamp) -> Result<(), DbErr> {
    let mut row = ActiveModel { updated_at: Set(now), ..ActiveModel::default() };
    row.first_name = Set(profile.first_name);
    row.last_name = Set(profile.last_name);
    Entity::update_many().set(row).filter(Column::Id.eq(id)).exec(db).await.map(|_| ())
}

/// Disables a user. False when the user is disabled already or does not exist.
///
/// # Errors
/// When the database fails.
pub(super) async fn disable<C: ConnectionTrait>(db: &C, id: UserId, now: Timestamp) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::DisabledAt, Expr::value(now))
        .col_expr(Column::AuthEpoch, Expr::col(Column::AuthEpoch).add(1))
        .filter(Column::Id.eq(id))
        .filter(Column::DisabledAt.is_null())
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}
