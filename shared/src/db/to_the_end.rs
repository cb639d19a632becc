//! Steps of a transaction that must not be left halfway when whoever waits for them goes away, as the client of a request
//! may at any time.

use sea_orm::DbErr;

/// Whoever waits for `work` may give up; `work` does not.
#[expect(clippy::disallowed_methods, reason = "a task of a few statements, whose end decides about the work of others")]
pub(super) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, DbErr>> + Send + 'static,
) -> Result<T, DbErr> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(DbErr::Custom(error.to_string())))
}
