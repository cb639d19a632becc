//! Which second factors a user has.

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult as _, QueryResult};

use super::{
    Method,
    store::{self, Enrolled},
};
use crate::users::UserId;

/// What of second factors a user has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What passes the two-factor step; empty without a second factor.
    pub methods: Vec<Method>,
    /// Backup codes that were not used.
    pub backup_codes_left: u64,
    /// Whether passkeys are to be a second factor.
    pub are_passkeys_enabled: bool,
}

/// What passes the two-factor step for this user; empty without a second factor.
///
/// # Errors
/// When the database fails.
pub async fn methods<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Vec<Method>, DbErr> {
    status(db, user_id).await.map(|status| status.methods)
}

/// What of second factors this user has.
///
/// # Errors
/// When the database fails.
pub async fn status<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Status, DbErr> {
    store::find(db, user_id).await.map(|enrolled| enrolled.map(Status::from).unwrap_or_default())
}

/// The same, from a row of a query on `users` that selects [`ENROLLED`](super::ENROLLED).
///
/// # Errors
/// When a column is missing.
pub fn status_in(row: &QueryResult) -> Result<Status, DbErr> {
    Enrolled::from_query_result(row, "").map(Status::from)
}

impl From<Enrolled> for Status {
    fn from(enrolled: Enrolled) -> Self {
        let Enrolled { has_totp, has_passkey, are_passkeys_enabled, backup_codes_left } = enrolled;
        let mut methods = Vec::new();
        if has_totp {
            methods.push(Method::Totp);
        }
        if are_passkeys_enabled && has_passkey {
            methods.push(Method::Passkey);
        }
        // Backup codes stand beside a factor; without one they open nothing.
        let backup_codes_left = if methods.is_empty() { 0 } else { backup_codes_left.unsigned_abs() };
        if backup_codes_left > 0 {
            methods.push(Method::BackupCode);
        }
        Self { methods, backup_codes_left, are_passkeys_enabled }
    }
}
