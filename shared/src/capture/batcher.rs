//! Group commit: deliveries that wait at the same time share a transaction.
//!
//! ```text
//! queue ─► writer: the first that waits, and all behind it up to a number of events
//!            │
//!            ├─ one transaction ─ commit ─► all are answered
//!            └─ the database refuses ─► each again in a transaction of its own: one bad delivery fails alone
//! ```
//!
//! While one transaction commits the next group gathers, so the groups grow with the load and a lone delivery waits for
//! nobody. SQLite has one writer; PostgreSQL has several.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::join_all;
use sea_orm::DbErr;
use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

use super::{CaptureConfig, Receipt, Reserved};
use crate::{
    db::Tx,
    fault,
    identify::{self, CapturedEvent},
    kernel::Kernel,
    projects::Project,
    rate_limit::{self, Limit},
};

/// Name of the component.
pub const COMPONENT: &str = "capture";

/// What the quota of a project is counted under.
const SCOPE: &str = "capture";

/// A delivery that waits to be stored.
pub(super) struct Submission {
    pub project: Arc<Project>,
    pub events: Vec<CapturedEvent>,
    pub reply: oneshot::Sender<Result<Receipt, Refusal>>,
    pub _memory: Reserved,
}

/// Why a delivery was not stored.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// The database did not answer.
    Unavailable(String),
    /// The database answered with an error.
    Database(String),
}

impl From<DbErr> for Refusal {
    fn from(error: DbErr) -> Self {
        if fault::is_unavailable(&error) {
            Self::Unavailable(error.to_string())
        } else {
            Self::Database(error.to_string())
        }
    }
}

/// The other end of the queue.
pub struct Batcher {
    queue: Mutex<mpsc::Receiver<Submission>>,
    most_events: usize,
    writers: usize,
    quota: Limit,
}

impl Batcher {
    pub(super) fn new(queue: mpsc::Receiver<Submission>, config: &CaptureConfig) -> Self {
        Self {
            queue: Mutex::new(queue),
            most_events: config.events_per_transaction.max(1),
            writers: config.writers.max(1),
            quota: config.quota,
        }
    }

    /// Stores what comes, until nobody can hand anything in and all that was handed in is answered.
    pub async fn run(self, kernel: Arc<Kernel>) {
        let writers = if kernel.db.is_postgres() { self.writers } else { 1 };
        join_all((0..writers).map(|_| self.write(&kernel))).await;
    }

    async fn write(&self, kernel: &Kernel) {
        while let Some(group) = self.next_group().await {
            let size = u32::try_from(group.len()).unwrap_or(u32::MAX);
            metrics::histogram!("gatepost_capture_group_deliveries").record(f64::from(size));
            self.store_group(kernel, group).await;
        }
    }

    async fn next_group(&self) -> Option<Vec<Submission>> {
        let mut queue = self.queue.lock().await;
        let first = queue.recv().await?;
        let mut events = first.events.len();
        let mut group = vec![first];
        while events < self.most_events
            && let Ok(next) = queue.try_recv()
        {
            events += next.events.len();
            group.push(next);
        }
        Some(group)
    }

    async fn store_group(&self, kernel: &Kernel, mut group: Vec<Submission>) {
        // Whoever waited and is gone sends it again.
        group.retain(|submission| !submission.reply.is_closed());
        if group.is_empty() {
            return;
        }
        match self.store(kernel, &group).await.map_err(Refusal::from) {
            Ok(receipts) => {
                for (submission, receipt) in group.into_iter().zip(receipts) {
                    answer(submission, Ok(receipt));
                }
            }
            Err(Refusal::Database(_)) if group.len() > 1 => {
                for submission in group {
                    let stored = self.store(kernel, std::slice::from_ref(&submission)).await;
                    let receipt = stored.map(|receipts| receipts.first().copied().unwrap_or(Receipt::Stored));
                    answer(submission, receipt.map_err(Refusal::from));
                }
            }
            Err(refusal) => group.into_iter().for_each(|submission| answer(submission, Err(refusal.clone()))),
        }
    }

    /// One transaction.
    async fn store(&self, kernel: &Kernel, group: &[Submission]) -> Result<Vec<Receipt>, DbErr> {
        let tx = kernel.db.write_tx().await?;
        let mut receipts = Vec::with_capacity(group.len());
        let mut projects: BTreeMap<Uuid, (&Project, Vec<&CapturedEvent>)> = BTreeMap::new();
        for submission in group {
            let is_within = self.count(kernel, &tx, submission).await?;
            receipts.push(if is_within { Receipt::Stored } else { Receipt::QuotaLimited });
            if is_within {
                let project = projects.entry(submission.project.id.0).or_insert((&submission.project, Vec::new()));
                project.1.extend(&submission.events);
            }
        }
        // In the order of their ids, so that two writers never wait for each other in a circle.
        for (project, events) in projects.into_values() {
            identify::accept(kernel, &tx, project, events).await?;
        }
        tx.commit().await?;
        Ok(receipts)
    }

    /// Counts the events of a delivery; false when the quota of its project is used up.
    async fn count(&self, kernel: &Kernel, tx: &Tx, submission: &Submission) -> Result<bool, DbErr> {
        let cost = u32::try_from(submission.events.len()).unwrap_or(u32::MAX);
        let project = submission.project.id.to_string();
        let now = kernel.clock.now();
        let verdict = rate_limit::check_many(&**tx, &kernel.keys, now, self.quota, cost, (SCOPE, &project)).await?;
        Ok(verdict.is_allowed())
    }
}

fn answer(submission: Submission, outcome: Result<Receipt, Refusal>) {
    let label = match &outcome {
        Ok(Receipt::Stored) => "stored",
        Ok(Receipt::QuotaLimited) => "quota_limited",
        Err(_) => "failed",
    };
    let events = u64::try_from(submission.events.len()).unwrap_or(u64::MAX);
    metrics::counter!("gatepost_capture_events_total", "outcome" => label).increment(events);
    // One that went away needs no answer.
    submission.reply.send(outcome).ok();
}
