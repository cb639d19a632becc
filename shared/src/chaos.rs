//! Crash points: named places at which a process of a fault run kills itself.
//!
//! ```text
//! CRASH_AT=worker.after_claim        SIGKILL when this place is reached
//! CRASH_AT=worker.after_claim:3      … the third time
//! CRASH_AT=worker.after_claim:3:20   … 20 ms after that, while the other threads go on
//! ```
//!
//! Without the cargo feature `chaos`, which no released executable has, [`point`] is an empty function and the environment
//! is never asked. SIGKILL runs no destructor and closes nothing in order: it is what a machine without power does.

/// Every crash point, in the order in which a request and its job pass them.
pub const POINTS: [&str; 15] = [
    "gateway.before_commit",
    "gateway.after_commit",
    "relay.before_publish",
    "relay.after_publish_before_confirm",
    "relay.after_confirm_before_mark",
    "worker.after_receive",
    "worker.after_claim",
    "worker.before_effect",
    "mail.after_rcpt",
    "mail.after_data_before_250",
    "mail.after_250_before_commit",
    "worker.after_commit_before_ack",
    "sweep.mid_batch",
    "leader.after_acquire",
    "merge.mid_tx",
];

/// The process ends here if the environment says so.
#[cfg(not(feature = "chaos"))]
#[inline]
pub const fn point(_name: &'static str) {}

/// Whether this process may have a handler for a job. In a fault run `CHAOS_UNKNOWN_JOB` names one that it must not know, as
/// a process of an older version does not.
#[cfg(not(feature = "chaos"))]
#[inline]
#[must_use]
pub const fn knows(_job: &str) -> bool {
    true
}

#[cfg(feature = "chaos")]
pub use armed::{knows, point};

#[cfg(feature = "chaos")]
mod armed {
    use std::{
        sync::{
            OnceLock,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };

    /// What `CRASH_AT` says.
    struct Plan {
        name: String,
        nth: u32,
        pause: Duration,
    }

    fn plan() -> Option<&'static Plan> {
        static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
        PLAN.get_or_init(|| {
            let text = std::env::var_os("CRASH_AT")?.into_string().ok()?;
            let mut parts = text.split(':');
            let name = parts.next()?.to_owned();
            let nth = parts.next().map_or(Some(1), |nth| nth.parse().ok())?;
            let pause = parts.next().map_or(Some(0), |pause| pause.parse().ok())?;
            Some(Plan { name, nth, pause: Duration::from_millis(pause) })
        })
        .as_ref()
    }

    /// Whether this process may have a handler for a job.
    #[must_use]
    pub fn knows(job: &str) -> bool {
        std::env::var_os("CHAOS_UNKNOWN_JOB").is_none_or(|unknown| unknown != job)
    }

    /// The process ends here if the environment says so.
    pub fn point(name: &'static str) {
        static REACHED: AtomicU32 = AtomicU32::new(0);
        let Some(plan) = plan().filter(|plan| plan.name == name) else { return };
        if REACHED.fetch_add(1, Ordering::SeqCst) + 1 != plan.nth {
            return;
        }
        std::thread::sleep(plan.pause);
        if let Err(error) = kill(Pid::this(), Signal::SIGKILL) {
            tracing::error!(%error, "a crash point could not kill its process");
        }
    }
}
