//! What a job is: its wire name, its queue, how often it is tried and when its purpose is over.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::secret;

/// The queues; each is one worker fleet, scaled by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Queue {
    /// Mails that someone is waiting for.
    Mail,
    /// Notices that may wait.
    Notify,
    /// Garbage collection and other scheduled work.
    Sweep,
    /// Analytics identity.
    Identify,
}

impl Queue {
    /// All queues.
    pub const ALL: [Self; 4] = [Self::Mail, Self::Notify, Self::Sweep, Self::Identify];

    /// Name, as in the table, the metrics and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Notify => "notify",
            Self::Sweep => "sweep",
            Self::Identify => "identify",
        }
    }
}

impl std::fmt::Display for Queue {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}

impl std::str::FromStr for Queue {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|queue| queue.as_str() == name)
            .ok_or_else(|| format!("unknown queue {name:?}; the queues are mail, notify, sweep and identify"))
    }
}

/// How often a failing job is tried, and how long it waits in between: exponential back-off with full jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts until the job is dead.
    pub attempts: u16,
    /// Upper bound of the wait after the first attempt; doubles with each further one.
    pub base: Duration,
    /// Upper bound of every wait.
    pub cap: Duration,
}

impl Retry {
    /// Someone is waiting: quick first tries. The job's expiry ends it, not the count.
    pub const MAIL: Self = Self { attempts: 60, base: Duration::from_secs(1), cap: Duration::from_secs(30) };
    /// A notice: hours of patience.
    pub const NOTICE: Self = Self { attempts: 30, base: Duration::from_secs(5), cap: Duration::from_mins(15) };
    /// Scheduled work: the next window brings the next one.
    pub const SWEEP: Self = Self { attempts: 5, base: Duration::from_secs(2), cap: Duration::from_mins(1) };

    /// The wait after attempt number `attempt` (counted from 1): uniform between a tenth of the bound and the bound.
    #[must_use]
    pub fn delay(&self, attempt: u16) -> Duration {
        let doublings = u32::from(attempt.saturating_sub(1)).min(20);
        let bound = self.base.saturating_mul(1 << doublings).min(self.cap);
        let jitter = f64::from(u32::from_be_bytes(secret::random_bytes())) / f64::from(u32::MAX);
        bound.mul_f64(0.1 + 0.9 * jitter)
    }
}

/// A kind of job. The payload holds ids, never a secret: it rests in the database and is shown to operators.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Wire name `<slice>.<verb>_<object>`, never reused for anything else.
    const NAME: &'static str;
    /// Version of the payload; a breaking change bumps it.
    const VERSION: u16;
    /// The fleet that runs it.
    const QUEUE: Queue;
    /// What happens when it fails.
    const RETRY: Retry;
    /// How long after its creation the job still serves its purpose.
    const EXPIRES: Option<Duration>;

    /// Jobs with the same key exist once. It contains no clock reading, so that a repeated request repeats the key.
    fn dedup_key(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_never_vanish() {
        let retry = Retry { attempts: 9, base: Duration::from_secs(1), cap: Duration::from_secs(30) };
        for attempt in 1..=40 {
            let delay = retry.delay(attempt);
            assert!(delay >= Duration::from_millis(100) && delay <= Duration::from_secs(30), "{delay:?}");
        }
        assert!(retry.delay(1) <= Duration::from_secs(1));
    }

    #[test]
    fn queues_are_named() {
        for queue in Queue::ALL {
            assert_eq!(queue.as_str().parse::<Queue>().unwrap(), queue);
        }
        assert!("mails".parse::<Queue>().is_err());
    }
}
