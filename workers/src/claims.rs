//! Claims of jobs that run side by side, taken together.
//!
//! ```text
//! claim(id) ──► waiting ──► whoever has the turn takes all that wait ── one statement ──► each gets its own answer
//! ```
//!
//! A claim must be durable before its handler runs. While one statement is being made durable, further claims gather and
//! share the next one; a single one waits for nobody. When a statement fails, everyone in it is told, and their messages
//! go back to the broker.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sea_orm::DbErr;
use shared::{
    jobs::{
        JobId,
        receipts::{self, Claim, Ending},
    },
    kernel::Kernel,
};
use tokio::sync::oneshot::{self, error::TryRecvError};

type Request = (JobId, oneshot::Sender<Option<Claim>>);

/// The claims of one process.
#[derive(Default)]
pub(crate) struct Claims {
    waiting: Mutex<Vec<Request>>,
    turn: tokio::sync::Mutex<()>,
}

impl Claims {
    /// Tries to take a job for `owner`; `None` when there is nothing to take: the message was a duplicate or is early.
    ///
    /// # Errors
    /// When the database failed.
    pub(crate) async fn claim(&self, kernel: &Kernel, owner: &str, id: JobId) -> Result<Option<Claim>, DbErr> {
        let (answer, mut answered) = oneshot::channel();
        self.waiting().push((id, answer));
        let turn = self.turn.lock().await;
        match answered.try_recv() {
            Ok(claim) => return Ok(claim),
            Err(TryRecvError::Closed) => return Err(DbErr::Custom("a claim that was made together failed".to_owned())),
            Err(TryRecvError::Empty) => {}
        }
        let mut batch = std::mem::take(&mut *self.waiting());
        batch.retain(|(_, answer)| !answer.is_closed());
        let ids: Vec<JobId> = batch.iter().map(|(id, _)| *id).collect();
        // One statement is a transaction of its own.
        let (db, now, lease) = (kernel.db.writer(), kernel.clock.now(), kernel.config.jobs.lease());
        let claimed = receipts::claim(db, &ids, owner, now, lease).await?;
        drop(turn);
        let mut claimed: BTreeMap<JobId, Claim> = claimed.into_iter().map(|claim| (claim.id, claim)).collect();
        for (id, answer) in batch {
            // Of two messages for one job the first gets it.
            if let Err(Some(unwanted)) = answer.send(claimed.remove(&id)) {
                let ending = Ending::Released(Duration::ZERO, "nobody waits for the claim any more".to_owned());
                receipts::finish(db, &unwanted, now, &ending).await?;
            }
        }
        answered.try_recv().map_err(|_| DbErr::Custom("a claim got no answer".to_owned()))
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Request>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::{Bench, Chore};

    #[tokio::test]
    async fn claims_made_at_once_each_get_their_own_job() {
        let bench = Bench::new().await;
        let mut ids = Vec::new();
        for number in 0..20 {
            ids.push(bench.enqueue(&Chore { number }).await);
        }
        let claims = Arc::new(Claims::default());
        let mut tasks = tokio::task::JoinSet::new();
        for id in ids.iter().chain(&ids).copied() {
            let (claims, kernel) = (Arc::clone(&claims), Arc::clone(&bench.context.kernel));
            tasks.spawn(async move { (id, claims.claim(&kernel, "worker", id).await.unwrap()) });
        }
        let answers = tasks.join_all().await;
        for id in ids {
            let of_it: Vec<_> =
                answers.iter().filter(|(asked, _)| *asked == id).filter_map(|(_, claim)| claim.as_ref()).collect();
            assert_eq!(of_it.len(), 1, "one of two messages for {id} gets it");
            assert_eq!((of_it[0].id, of_it[0].attempt), (id, 1));
        }
    }
}
