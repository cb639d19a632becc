//! The administrator's bypass: one user may sign in without the e-mail step until a given time.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr, Statement};
use serde_json::json;

use crate::{
    audit::{self, AuditEvent, Outcome},
    clock::Timestamp,
    kernel::Kernel,
    users::UserId,
};

/// Lets `user_id` sign in without the e-mail step for `duration`, and audits it with the reason.
///
/// # Errors
/// When the database fails.
pub async fn grant_bypass(
    kernel: &Kernel,
    user_id: UserId,
    duration: Duration,
    reason: &str,
) -> Result<Timestamp, DbErr> {
    let until = kernel.clock.now() + duration;
    let tx = kernel.db.write_tx().await?;
    let statement = Statement::from_sql_and_values(
        kernel.db.engine(),
        "INSERT INTO email_mfa_bypasses (user_id, until) VALUES ($1, $2)
         ON CONFLICT (user_id) DO UPDATE SET until = $2",
        [user_id.0.into(), until.0.into()],
    );
    tx.execute_raw(statement).await?;
    let event = AuditEvent {
        action: "email_mfa.grant_bypass",
        outcome: Outcome::Success,
        user_id: Some(user_id.0),
        client: None,
        detail: json!({ "until": until, "reason": reason }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    Ok(until)
}

/// Whether the user has a bypass at this moment.
///
/// # Errors
/// When the database fails; the step is then required.
pub async fn has_bypass<C: ConnectionTrait>(db: &C, user_id: UserId, now: Timestamp) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT 1 AS one FROM email_mfa_bypasses WHERE user_id = $1 AND until > $2",
        [user_id.0.into(), now.0.into()],
    );
    db.query_one_raw(statement).await.map(|row| row.is_some())
}
