//! The circuit breaker of outgoing mail.
//!
//! ```text
//! closed ── trip ──► open for the pause ── one message gets through ──► sent: closed | broken: open again
//! ```

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// Holds messages back while mail is broken.
#[derive(Debug)]
pub struct Breaker {
    pause: Duration,
    open_until: Mutex<Option<Instant>>,
    closed: Notify,
}

impl Breaker {
    /// A closed breaker that opens for `pause`.
    #[must_use]
    pub fn new(pause: Duration) -> Self {
        Self { pause, open_until: Mutex::new(None), closed: Notify::new() }
    }

    /// Opens: nothing passes for the pause.
    pub fn trip(&self) {
        *self.state() = Some(Instant::now() + self.pause);
    }

    /// Closes; says whether it was open.
    pub fn reset(&self) -> bool {
        let was_open = self.state().take().is_some();
        if was_open {
            self.closed.notify_waiters();
        }
        was_open
    }

    /// Whether messages are held back.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state().is_some()
    }

    /// Waits until a message may pass: at once while closed, and once per pause while open, to find out.
    pub async fn pass(&self) {
        loop {
            let closed = self.closed.notified();
            let Some(until) = self.may_pass() else { return };
            tokio::select! {
                () = closed => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// `None` when one may pass now, else when to ask again.
    fn may_pass(&self) -> Option<Instant> {
        let mut state = self.state();
        let until = (*state)?;
        if Instant::now() < until {
            return Some(until);
        }
        *state = Some(Instant::now() + self.pause);
        None
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.open_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const PAUSE: Duration = Duration::from_millis(60);
    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_closed_breaker_lets_everything_pass() {
        let breaker = Breaker::new(PAUSE);
        for _ in 0..3 {
            timeout(SHORT, breaker.pass()).await.unwrap();
        }
        assert!(!breaker.is_open() && !breaker.reset());
    }

    #[tokio::test]
    async fn an_open_breaker_lets_one_message_pass_per_pause() {
        let breaker = Breaker::new(PAUSE);
        breaker.trip();
        assert!(timeout(SHORT, breaker.pass()).await.is_err(), "it was just opened");
        timeout(PAUSE * 5, breaker.pass()).await.unwrap();
        assert!(breaker.is_open(), "nothing was sent yet");
        assert!(timeout(SHORT, breaker.pass()).await.is_err(), "only one may find out");
    }

    #[tokio::test]
    async fn a_sent_mail_releases_all_that_wait() {
        let breaker = Breaker::new(Duration::from_secs(3600));
        breaker.trip();
        let waiting = async { tokio::join!(breaker.pass(), breaker.pass()) };
        let sent = async {
            tokio::task::yield_now().await;
            assert!(breaker.reset());
        };
        timeout(Duration::from_secs(5), async { tokio::join!(waiting, sent) }).await.unwrap();
    }
}
