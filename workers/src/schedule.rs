//! What happens without a request: one table of jobs and how often each is enqueued.
//!
//! The leader enqueues one job per window of its cadence, `window = now / cadence`. The window is the job's dedup key, so
//! two leaders, or one that restarts, enqueue it once. A missed window is not made up for: sweeps look at data, not at
//! windows, and the next one finds all that is due.

use std::time::Duration;

use sea_orm::DbErr;
use shared::{
    api_keys::SweepKeyExpiry,
    clock::{Timestamp, micros},
    db::Tx,
    devices::SweepDevices,
    domains::SweepProofs,
    email_verification::SweepVerifications,
    idempotency::SweepIdempotencyKeys,
    invites::SweepInvites,
    jobs::{Job, JobId, enqueue_at, sweep::SweepFinishedJobs},
    kernel::Kernel,
    lockout::SweepLockouts,
    login::SweepLogins,
    passkey::SweepPasskeyCeremonies,
    persons::SweepEvents,
    recovery::SweepResets,
    sessions::SweepEndedSessions,
    social::SweepSocialLogins,
    totp::ResealSecrets,
    two_factor_reset::SweepTwoFactorResets,
};

use crate::BoxFuture;

const HOUR: Duration = Duration::from_secs(3600);

/// All scheduled jobs. A further one is a line here, and its payload's name among those below.
pub const SCHEDULE: &[Tick] = &[
    Tick::every::<SweepFinishedJobs>(Duration::from_secs(300)),
    Tick::every::<SweepEvents>(Duration::from_secs(300)),
    Tick::every::<SweepDevices>(HOUR),
    Tick::every::<SweepKeyExpiry>(HOUR),
    Tick::every::<SweepIdempotencyKeys>(HOUR),
    Tick::every::<SweepInvites>(HOUR),
    Tick::every::<SweepLockouts>(HOUR),
    Tick::every::<SweepLogins>(HOUR),
    Tick::every::<SweepPasskeyCeremonies>(HOUR),
    Tick::every::<SweepProofs>(HOUR),
    Tick::every::<SweepResets>(HOUR),
    Tick::every::<SweepVerifications>(HOUR),
    Tick::every::<SweepEndedSessions>(HOUR),
    Tick::every::<SweepSocialLogins>(HOUR),
    Tick::every::<ResealSecrets>(HOUR),
    Tick::every::<SweepTwoFactorResets>(HOUR),
];

/// A job that is enqueued once per window. Its dedup key must be made of the window.
pub trait Scheduled: Job {
    /// The job of a window.
    fn of(window: i64) -> Self;
}

/// Declares payloads that consist of their window.
macro_rules! scheduled {
    ($($job:ident),* $(,)?) => {
        $(impl Scheduled for $job {
            fn of(window: i64) -> Self {
                Self { window }
            }
        })*
    };
}

scheduled!(
    SweepFinishedJobs,
    SweepDevices,
    SweepIdempotencyKeys,
    SweepInvites,
    SweepLockouts,
    SweepLogins,
    SweepPasskeyCeremonies,
    SweepResets,
    SweepVerifications,
    SweepEndedSessions,
    SweepSocialLogins,
    SweepTwoFactorResets
);

/// The first batch of a window; it enqueues the next one.
impl Scheduled for SweepEvents {
    fn of(window: i64) -> Self {
        Self { window, step: 0 }
    }
}

/// The first batch of a window; it enqueues the next one.
impl Scheduled for SweepKeyExpiry {
    fn of(window: i64) -> Self {
        Self { window, step: 0 }
    }
}

impl Scheduled for SweepProofs {
    fn of(window: i64) -> Self {
        Self::begin(window)
    }
}

impl Scheduled for ResealSecrets {
    fn of(window: i64) -> Self {
        Self::begin(window)
    }
}

/// Adds the job of a window; `None` when that window has one.
type Enqueue = for<'a> fn(&'a Tx, Timestamp, i64) -> BoxFuture<'a, Result<Option<JobId>, DbErr>>;

/// One line of the schedule.
#[derive(Clone, Copy)]
pub struct Tick {
    /// Wire name of the job.
    pub name: &'static str,
    /// How often.
    pub cadence: Duration,
    enqueue: Enqueue,
}

impl Tick {
    /// The line of a job.
    #[must_use]
    pub const fn every<J: Scheduled>(cadence: Duration) -> Self {
        Self {
            name: J::NAME,
            cadence,
            enqueue: |tx, now, window| Box::pin(async move { enqueue_at(tx, now, now, &J::of(window)).await }),
        }
    }

    /// The window that `now` is in.
    #[must_use]
    pub fn window(&self, now: Timestamp) -> i64 {
        now.0.div_euclid(micros(self.cadence).max(1))
    }
}

/// Enqueues the jobs of windows that began since the last call. `done` holds the last window of each line.
///
/// # Errors
/// When the database fails; nothing was enqueued then.
pub async fn tick(kernel: &Kernel, done: &mut [Option<i64>]) -> Result<(), DbErr> {
    let now = kernel.clock.now();
    let due: Vec<(&Tick, i64, &mut Option<i64>)> = SCHEDULE
        .iter()
        .zip(done)
        .map(|(line, last)| (line, line.window(now), last))
        .filter(|(_, window, last)| **last != Some(*window))
        .collect();
    if due.is_empty() {
        return Ok(());
    }
    let tx = kernel.db.write_tx().await?;
    for (line, window, _) in &due {
        (line.enqueue)(&tx, now, *window).await?;
    }
    tx.commit().await?;
    for (_, window, last) in due {
        *last = Some(window);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shared::{deletion::PurgeProject, jobs::Queue};

    use super::*;

    #[test]
    fn every_line_has_a_handler_and_appears_once() {
        let registry = crate::registry().unwrap();
        let sweeps: BTreeSet<_> = registry
            .catalog()
            .into_iter()
            // What follows a deletion has a cause of its own and no window.
            .filter(|entry| entry.queue == Queue::Sweep && entry.name != PurgeProject::NAME)
            .map(|entry| entry.name)
            .collect();
        let lines: Vec<_> = SCHEDULE.iter().map(|line| line.name).collect();
        assert_eq!(lines.iter().copied().collect::<BTreeSet<_>>(), sweeps);
        assert_eq!(lines.len(), sweeps.len());
    }

    #[test]
    fn one_window_gives_one_key() {
        let line = Tick::every::<SweepFinishedJobs>(HOUR);
        let start = Timestamp(1_700_000_000_000_000);
        assert_eq!(line.window(start), line.window(start + Duration::from_secs(60)));
        assert_eq!(line.window(start) + 1, line.window(start + HOUR));
        let key = |window| SweepFinishedJobs::of(window).dedup_key().unwrap();
        assert_ne!(key(1), key(2));
    }
}
