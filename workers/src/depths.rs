//! How many jobs wait in each queue, and for how long: for readiness and for the gauges.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use sea_orm::DbErr;
use shared::{
    clock::Timestamp,
    jobs::{JobState, Queue, operate},
    kernel::Kernel,
};

/// States of unfinished and given-up jobs, as the gauges have them.
const STATES: [JobState; 5] =
    [JobState::Queued, JobState::Dispatched, JobState::Running, JobState::Retrying, JobState::Dead];

/// The latest reading of the queues' depth and age.
#[derive(Debug, Default)]
pub(crate) struct Depths {
    latest: RwLock<Option<Reading>>,
}

/// One reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    jobs: BTreeMap<(String, String), i64>,
    oldest: BTreeMap<String, Duration>,
}

impl Depths {
    /// Reads the table. A failure makes the ages unknown.
    pub(crate) async fn refresh(&self, kernel: &Kernel) -> Result<Reading, DbErr> {
        let depths = operate::depths(kernel.db.reader()).await;
        let reading = depths.map(|depths| Reading::of(&depths, kernel.clock.now()));
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = reading.as_ref().ok().cloned();
        reading
    }

    /// The age of the oldest due job of a queue; `None` while the database does not tell.
    pub(crate) fn age(&self, queue: Queue) -> Option<Duration> {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        latest.as_ref().map(|reading| reading.age(queue))
    }
}

impl Reading {
    fn of(depths: &[operate::Depth], now: Timestamp) -> Self {
        let mut reading = Self::default();
        for depth in depths {
            reading.jobs.insert((depth.queue.clone(), depth.state.clone()), depth.jobs);
            let waits = [JobState::Queued, JobState::Dispatched, JobState::Retrying];
            if waits.iter().any(|state| state.as_str() == depth.state) {
                let age = reading.oldest.entry(depth.queue.clone()).or_default();
                *age = (*age).max(now.since(Timestamp(depth.oldest)));
            }
        }
        reading
    }

    fn age(&self, queue: Queue) -> Duration {
        self.oldest.get(queue.as_str()).copied().unwrap_or_default()
    }

    /// Sets the gauges of all queues and states, so that one that emptied falls to zero.
    #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point; 2^52 jobs do not fit on a disk")]
    pub(crate) fn publish(&self) {
        for queue in Queue::ALL {
            for state in STATES {
                let jobs = self.jobs.get(&(queue.as_str().to_owned(), state.as_str().to_owned()));
                metrics::gauge!("gatepost_jobs", "queue" => queue.as_str(), "state" => state.as_str())
                    .set(jobs.copied().unwrap_or_default() as f64);
            }
            metrics::gauge!("gatepost_jobs_oldest_seconds", "queue" => queue.as_str())
                .set(self.age(queue).as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(state: &str, oldest: i64) -> operate::Depth {
        operate::Depth { queue: "mail".into(), state: state.into(), jobs: 1, oldest }
    }

    #[test]
    fn the_age_is_that_of_the_oldest_job_that_waits() {
        let now = Timestamp(100_000_000);
        let depths =
            [depth("dead", 0), depth("running", 1), depth("queued", 90_000_000), depth("retrying", 200_000_000)];
        let reading = Reading::of(&depths, now);
        assert_eq!(reading.age(Queue::Mail), Duration::from_secs(10));
        assert_eq!(reading.age(Queue::Sweep), Duration::ZERO);
    }
}
