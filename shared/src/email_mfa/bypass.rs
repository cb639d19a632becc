//! The administrator's bypass: one user may sign in without the e-mail step until a given time.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbErr, Statement};
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

/// As a value on a row of `users`: until when the user has a bypass, or had one.
pub const BYPASS_UNTIL: &str = "(SELECT until FROM email_mfa_bypasses WHERE email_mfa_bypasses.user_id = users.id)";
