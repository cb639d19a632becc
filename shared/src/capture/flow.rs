//! Delivering a batch: whose it is, room for it, and the wait until it is durable.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{
    Batch, Batcher, CaptureConfig, CaptureError,
    batcher::{Refusal, Submission},
};
use crate::{
    clock::Timestamp,
    identify::CapturedEvent,
    kernel::Kernel,
    projects::{self, Project},
    secret::Redacted,
    secret_keys,
};

/// Projects, and tokens without one, that are kept at most.
const KEPT: u64 = 10_000;

/// What memory is counted in.
const UNIT: usize = 1024;

const UNKNOWN: CaptureError = CaptureError::Token("There is no project with this token.");

/// How a delivery ended that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Its events are stored.
    Stored,
    /// Its project has used up its quota, and the events were not stored.
    QuotaLimited,
}

/// Where deliveries are handed in.
pub struct Capture {
    queue: mpsc::Sender<Submission>,
    /// What may be in memory together, in units.
    memory: Arc<Semaphore>,
    projects: Projects,
    /// For whoever runs it.
    batcher: Mutex<Option<Batcher>>,
}

/// Memory for one delivery; it is given back when this is dropped.
#[derive(Debug)]
pub struct Reserved {
    permit: OwnedSemaphorePermit,
}

impl Reserved {
    /// Adds another reservation to this one.
    pub fn add(&mut self, more: Self) {
        self.permit.merge(more.permit);
    }
}

impl Capture {
    /// A queue, whose other end is taken with [`Capture::batcher`] and has to run.
    #[must_use]
    pub fn new(config: &CaptureConfig) -> Self {
        let (queue, receiver) = mpsc::channel(config.queue.max(1));
        let units = (config.memory_limit_bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            queue,
            memory: Arc::new(Semaphore::new(units)),
            projects: Projects::new(Duration::from_secs(config.project_cache_seconds)),
            batcher: Mutex::new(Some(Batcher::new(receiver, config))),
        }
    }

    /// What writes the deliveries; it can be taken once, and ends when this is dropped.
    pub fn batcher(&self) -> Option<Batcher> {
        self.batcher.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Reserves memory for a delivery.
    ///
    /// # Errors
    /// When there is not that much now.
    pub fn reserve(&self, bytes: usize) -> Result<Reserved, CaptureError> {
        let units = u32::try_from(bytes / UNIT + 1).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.memory).try_acquire_many_owned(units).map_err(|_| CaptureError::Busy)?;
        Ok(Reserved { permit })
    }

    /// Stores the events of a batch. They are durable when it returns, and if it fails none of them is, unless the
    /// database was lost during the commit: sent again, they are stored once.
    ///
    /// # Errors
    /// When there is no such project, when too much waits, or when the database does not take them.
    pub async fn deliver(
        &self,
        kernel: &Kernel,
        batch: Batch,
        mut reserved: Reserved,
    ) -> Result<Receipt, CaptureError> {
        let token = batch.project_token;
        let project = self.projects.find(kernel, &token).await?.ok_or(UNKNOWN)?;
        let mut events = batch.events;
        if let Some(secret_key) = batch.secret_key {
            allow(kernel, &project, &secret_key, &mut events).await?;
        }
        reserved.add(self.reserve(batch.bytes)?);
        let (reply, answer) = oneshot::channel();
        let submission = Submission { project, events, reply, _memory: reserved };
        self.queue.try_send(submission).map_err(|_| CaptureError::Busy)?;
        match answer.await {
            Ok(Ok(receipt)) => Ok(receipt),
            Ok(Err(Refusal::Unavailable(reason))) => Err(CaptureError::NotDurable(reason)),
            // It may be that its project was deleted meanwhile.
            Ok(Err(Refusal::Database(reason))) => match self.projects.find_anew(kernel, &token).await? {
                Some(_) => Err(CaptureError::NotDurable(reason)),
                None => Err(UNKNOWN),
            },
            Err(_) => Err(CaptureError::Busy),
        }
    }
}

/// Lets events merge persons that are identified, if this is a secret key of their project.
async fn allow(
    kernel: &Kernel,
    project: &Project,
    secret_key: &Redacted<String>,
    events: &mut [CapturedEvent],
) -> Result<(), CaptureError> {
    let found = secret_keys::verify(kernel.db.reader(), project.id, secret_key.expose()).await;
    if found.map_err(|error| CaptureError::NotDurable(error.to_string()))?.is_none() {
        return Err(CaptureError::Token("The secret key is not one of this project."));
    }
    for event in events {
        event.may_merge_dangerously = true;
    }
    Ok(())
}

/// Which project a token is of, as of a moment that is not long ago. A token that was found to be nobody's is kept as
/// well: tokens are random, so that none can become a project's later.
struct Projects {
    known: Cache<String, (Timestamp, Option<Arc<Project>>)>,
    keep: Duration,
}

impl Projects {
    fn new(keep: Duration) -> Self {
        Self { known: Cache::builder().max_capacity(KEPT).time_to_live(keep).build(), keep }
    }

    async fn find(&self, kernel: &Kernel, token: &str) -> Result<Option<Arc<Project>>, CaptureError> {
        if let Some((read_at, project)) = self.known.get(token)
            && kernel.clock.now().since(read_at) < self.keep
        {
            return Ok(project);
        }
        self.find_anew(kernel, token).await
    }

    async fn find_anew(&self, kernel: &Kernel, token: &str) -> Result<Option<Arc<Project>>, CaptureError> {
        // Taken before the query: what is kept is never younger than it looks.
        let now = kernel.clock.now();
        let found = projects::find_by_token(kernel.db.reader(), token).await;
        let project = found.map_err(|error| CaptureError::NotDurable(error.to_string()))?.map(Arc::new);
        self.known.insert(token.to_owned(), (now, project.clone()));
        Ok(project)
    }
}
