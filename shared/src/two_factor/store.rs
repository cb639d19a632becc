//! Queries on `two_factor_passkeys`, and on what is enrolled in all.

use std::sync::LazyLock;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, IntoActiveModel, QueryFilter, Statement,
    sea_query::OnConflict,
};

use super::entity::{Column, Entity, Model};
use crate::{backup_codes, clock::Timestamp, passkey, totp, users::UserId};

/// What is enrolled, as columns of a query on `users`; [`status_in`](super::status_in) reads them.
pub static ENROLLED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} AS has_totp, {} AS has_passkey, {} AS backup_codes_left,
         EXISTS (SELECT 1 FROM two_factor_passkeys WHERE two_factor_passkeys.user_id = users.id) AS are_passkeys_enabled",
        totp::IS_ENABLED,
        passkey::EXIST,
        backup_codes::COUNT_LEFT
    )
});

/// What a user enrolled.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub(super) struct Enrolled {
    /// An app is in force.
    pub has_totp: bool,
    /// There is a passkey.
    pub has_passkey: bool,
    /// Passkeys are to be a second factor.
    pub are_passkeys_enabled: bool,
    /// Codes that were not used.
    pub backup_codes_left: i64,
}

/// What a user enrolled; `None` without such a user.
pub(super) async fn find<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Option<Enrolled>, DbErr> {
    let sql = format!("SELECT {} FROM users WHERE users.id = $1", *ENROLLED);
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [user_id.0.into()]);
    db.query_one_raw(statement).await?.map(|row| Enrolled::from_query_result(&row, "")).transpose()
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
