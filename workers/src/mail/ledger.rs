//! The ledger: what became of each mail. A recipient is kept as a keyed digest only.
//!
//! ```text
//! open ──► sending ──► handed_over | rejected | unknown (written, no answer: sent again) | expired | dead
//!      └─► suppressed: over the recipient's budget, or its server refused a mail for good within a day
//! ```
//!
//! `sending` is committed before the first byte leaves, so a message without a row cannot exist. `handed_over` and the
//! job's `done` are one transaction guarded by the fence.

use sea_orm::{
    ConnectionTrait, DbErr, Statement, Value,
    sea_query::{Expr, ExprTrait as _},
};
use shared::{
    clock::Timestamp,
    db::{self, Tx},
    jobs::{
        JobId, JobState,
        receipts::{Claim, Ending},
    },
    kernel::Kernel,
    mail,
};
use uuid::Uuid;

/// Whether a mail may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It may.
    Clear,
    /// Another worker holds the job now.
    Overtaken,
    /// The recipient's server refused a mail for good lately.
    Suppressed,
    /// The recipient got too many mails.
    OverBudget,
}

/// How a mail ended, as the ledger has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Under way; the last try failed.
    Sending,
    /// The relay has it.
    HandedOver,
    /// Refused for good.
    Rejected,
    /// Written without an answer.
    Unknown,
}

impl Entry {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::HandedOver => "handed_over",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
        }
    }
}

/// Opens the row of a mail and decides whether it may be sent. The recipient's budget is asked for once per mail, and not
/// for one that is owed.
pub(crate) async fn open(
    tx: &Tx,
    kernel: &Kernel,
    claim: &Claim,
    (recipient, is_owed): (&str, bool),
) -> Result<Opening, DbErr> {
    let hash = mail::recipient_hash(kernel, recipient);
    let is_first = execute(
        tx,
        "INSERT INTO mail_deliveries (job_id, recipient_hash, state, created_at)
         SELECT id, $2, 'sending', $3 FROM jobs WHERE id = $1 AND fence = $4 AND state = 'running'
         ON CONFLICT (job_id) DO NOTHING",
        [claim.id.0.into(), hash.clone().into(), kernel.clock.now().0.into(), claim.fence.into()],
    )
    .await?
        == 1;
    if !is_first && !reopen(tx, claim, hash).await? {
        return Ok(Opening::Overtaken);
    }
    // This mail's own row reads `sending` by now: an operator who retries a rejected mail is not held up by it.
    if mail::is_suppressed(&**tx, kernel, recipient).await? {
        suppress(tx, claim.id, "the recipient's server refused a mail for good within the last day").await?;
        return Ok(Opening::Suppressed);
    }
    if is_first && !is_owed && !mail::within_budget(&**tx, kernel, recipient).await? {
        suppress(tx, claim.id, "the recipient got too many mails").await?;
        return Ok(Opening::OverBudget);
    }
    Ok(Opening::Clear)
}

/// Opens the row of an earlier try again. False when another worker holds the job now.
async fn reopen(tx: &Tx, claim: &Claim, hash: Vec<u8>) -> Result<bool, DbErr> {
    let updated = execute(
        tx,
        "UPDATE mail_deliveries SET state = 'sending', recipient_hash = $2 WHERE job_id = $1
         AND EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND fence = $3 AND state = 'running')",
        [claim.id.0.into(), hash.into(), claim.fence.into()],
    );
    updated.await.map(|rows| rows == 1)
}

/// Writes down how a try ended.
pub(crate) async fn write(tx: &Tx, id: JobId, entry: Entry, reply: &str, now: Timestamp) -> Result<(), DbErr> {
    let handed_over = (entry == Entry::HandedOver).then_some(now.0);
    execute(
        tx,
        "UPDATE mail_deliveries SET state = $2, provider_reply = $3, handed_over_at = $4 WHERE job_id = $1",
        [id.0.into(), entry.as_str().into(), reply.into(), handed_over.into()],
    )
    .await
    .map(|_| ())
}

/// Follows a job that ended without its mail having been handed over or rejected.
pub(crate) async fn settle(tx: &Tx, id: JobId, ending: &Ending) -> Result<(), DbErr> {
    let state = match ending {
        Ending::Dead(_) => "dead",
        Ending::Expired | Ending::Cancelled => "expired",
        Ending::Done | Ending::Retrying(..) | Ending::Released(..) => return Ok(()),
    };
    execute(
        tx,
        "UPDATE mail_deliveries SET state = $2 WHERE job_id = $1 AND state IN ('sending', 'unknown')",
        [id.0.into(), state.into()],
    )
    .await
    .map(|_| ())
}

/// Follows jobs that ended since `since` while no worker held them.
pub(crate) async fn follow(tx: &Tx, since: Timestamp) -> Result<(), DbErr> {
    for (ended, state) in [(JobState::Dead, "dead"), (JobState::Expired, "expired"), (JobState::Cancelled, "expired")] {
        execute(
            tx,
            "UPDATE mail_deliveries SET state = $2 WHERE state IN ('sending', 'unknown')
             AND job_id IN (SELECT id FROM jobs WHERE state = $1 AND finished_at >= $3)",
            [ended.as_str().into(), state.into(), since.0.into()],
        )
        .await?;
    }
    Ok(())
}

/// Deletes up to `batch` rows of mails from before `before`, except those under way. Ids of jobs sort by time, so the
/// primary key finds them.
pub(crate) async fn sweep(tx: &Tx, before: Timestamp, batch: u64) -> Result<u64, DbErr> {
    let is_old = Expr::col("job_id").lt(first_id(before)).and(Expr::col("created_at").lt(before));
    let is_over = Expr::col("state").is_not_in(["sending", "unknown"]);
    db::sweep(&**tx, "mail_deliveries", "job_id", is_old.and(is_over), batch).await
}

/// The smallest `UUIDv7` of an instant (RFC 9562, section 5.7: it begins with the milliseconds in 48 bits).
fn first_id(instant: Timestamp) -> Uuid {
    let milliseconds = u128::try_from(instant.0 / 1000).unwrap_or(0);
    Uuid::from_u128(milliseconds << 80)
}

async fn suppress(tx: &Tx, id: JobId, reason: &str) -> Result<(), DbErr> {
    execute(
        tx,
        "UPDATE mail_deliveries SET state = 'suppressed', provider_reply = $2 WHERE job_id = $1",
        [id.0.into(), reason.into()],
    )
    .await
    .map(|_| ())
}

async fn execute(tx: &Tx, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64, DbErr> {
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    tx.execute_raw(statement).await.map(|result| result.rows_affected())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::{
        clock::{Clock, SystemClock},
        ids,
    };

    use super::*;

    #[test]
    fn ids_sort_between_the_instants_around_them() {
        let now = SystemClock.now();
        let id = ids::next();
        assert!(first_id(now - Duration::from_secs(1)) < id && id < first_id(now + Duration::from_secs(60)));
    }
}
