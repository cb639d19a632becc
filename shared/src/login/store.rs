//! Queries on `logins`.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait},
};

use super::entity::{ActiveModel, Column, Entity, LoginId, LoginState, Model};
use crate::clock::Timestamp;

pub(super) async fn insert<C: ConnectionTrait>(db: &C, row: ActiveModel) -> Result<(), DbErr> {
    Entity::insert(row).exec_without_returning(db).await.map(|_| ())
}

pub(super) async fn find<C: ConnectionTrait>(db: &C, id: LoginId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
}

/// Counts one try before it is compared. `None` when the login does not wait for a code any more, or has had its tries.
pub(super) async fn reserve_attempt<C: ConnectionTrait>(
    db: &C,
    (id, waits_for): (LoginId, LoginState),
    max_attempts: i32,
    now: Timestamp,
) -> Result<Option<Model>, DbErr> {
    let rows = Entity::update_many()
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(waits_for))
        .filter(Column::Attempts.lt(max_attempts))
        .filter(Column::ExpiresAt.gt(now))
        .exec_with_returning(db)
        .await?;
    Ok(rows.into_iter().next())
}

/// Ends a waiting login. False when someone else did.
pub(super) async fn finish<C: ConnectionTrait>(
    db: &C,
    (id, waits_for): (LoginId, LoginState),
    state: LoginState,
    now: Timestamp,
) -> Result<bool, DbErr> {
    use sea_orm::ActiveEnum;
    let result = Entity::update_many()
        .col_expr(Column::State, Expr::value(state.to_value()))
        .col_expr(Column::FinishedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(waits_for))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Puts a further send in force if the last one is from before `sent_before`. `None` when it is too early.
pub(super) async fn next_send<C: ConnectionTrait>(
    db: &C,
    id: LoginId,
    sent_before: Timestamp,
    now: Timestamp,
) -> Result<Option<Model>, DbErr> {
    let rows = Entity::update_many()
        .col_expr(Column::Send, Expr::col(Column::Send).add(1))
        .col_expr(Column::SentAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(LoginState::EmailMfa))
        .filter(Column::SentAt.lte(sent_before))
        .exec_with_returning(db)
        .await?;
    Ok(rows.into_iter().next())
}

/// Deletes up to `batch` logins that expired before `before`; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep<C: ConnectionTrait>(db: &C, before: Timestamp, batch: u64) -> Result<u64, DbErr> {
    let over =
        Entity::find().select_only().column(Column::Id).filter(Column::ExpiresAt.lt(before)).limit(batch).into_query();
    Entity::delete_many().filter(Column::Id.in_subquery(over)).exec(db).await.map(|result| result.rows_affected)
}
