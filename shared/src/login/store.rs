//! Queries on `logins`.

use std::sync::LazyLock;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult as _, QueryFilter, Statement,
    sea_query::{Expr, ExprTrait},
};

use super::entity::{ActiveModel, Column, Entity, LoginId, LoginState, Model};
use crate::{
    clock::Timestamp,
    db, email_mfa,
    kernel::Kernel,
    mail,
    password::{self, StoredPassword},
    two_factor,
    users::{Email, User},
};

/// Who may be behind an address, and what decides what follows a right password.
pub(super) struct Candidate {
    /// The user.
    pub user: User,
    /// Their password, if they have one.
    pub stored: Option<StoredPassword>,
    /// Their second factors.
    pub two_factor: two_factor::Status,
    /// The last mail to them was refused by their server.
    pub mail_is_suppressed: bool,
    /// Until when an administrator waived the e-mail step.
    pub bypass_until: Option<Timestamp>,
}

/// All columns of a [`Candidate`].
static CANDIDATE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT users.*, passwords.phc, passwords.key_id, {}, {} AS mail_is_suppressed, {} AS bypass_until
         FROM users LEFT JOIN passwords ON passwords.user_id = users.id WHERE users.email_normalised = $3",
        *two_factor::ENROLLED,
        mail::IS_SUPPRESSED,
        email_mfa::BYPASS_UNTIL
    )
});

/// The candidate with this address. One statement at one moment: what is enrolled belongs to the epoch that it is read
/// with, and an address that nobody has costs the same.
pub(super) async fn find_candidate(kernel: &Kernel, email: &Email) -> Result<Option<Candidate>, DbErr> {
    let db = kernel.db.reader();
    let [recipient, since] = mail::suppression_of(kernel, email.normalised());
    let values = [recipient, since, email.normalised().into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), CANDIDATE.as_str(), values);
    let Some(row) = db.query_one_raw(statement).await? else { return Ok(None) };
    Ok(Some(Candidate {
        user: User::from_query_result(&row, "")?,
        stored: password::stored_in(&row)?,
        two_factor: two_factor::status_in(&row)?,
        mail_is_suppressed: row.try_get("", "mail_is_suppressed")?,
        bypass_until: row.try_get::<Option<i64>>("", "bypass_until")?.map(Timestamp),
    }))
}

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
    db::sweep(db, Entity, Column::ExpiresAt, Column::ExpiresAt.lt(before), batch).await
}
