//! The log of the whole process at TRACE, for tests that look for what must not be in it.
//!
//! Nothing is recorded while no [`Capture`] lives. Tests that run at the same time see each other's lines.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use tracing_subscriber::{Layer, filter::dynamic_filter_fn, fmt::MakeWriter, layer::SubscriberExt};

static INSTALLED: Once = Once::new();
static LIVING: AtomicUsize = AtomicUsize::new(0);
static BUFFERS: Mutex<Vec<Weak<Mutex<Vec<u8>>>>> = Mutex::new(Vec::new());

/// Everything that is logged while it lives, by every thread of the process.
pub struct Capture {
    buffer: Arc<Mutex<Vec<u8>>>,
}

impl Capture {
    /// Begins.
    ///
    /// # Panics
    /// When another part of the process has taken the log.
    #[must_use]
    pub fn start() -> Self {
        INSTALLED.call_once(|| {
            let is_wanted = dynamic_filter_fn(|_, _| LIVING.load(Ordering::Relaxed) > 0);
            let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Tee).with_filter(is_wanted);
            let subscriber = tracing_subscriber::registry().with(lines);
            tracing::subscriber::set_global_default(subscriber).expect("nobody else takes the log");
        });
        let buffer = Arc::new(Mutex::default());
        lock(&BUFFERS).push(Arc::downgrade(&buffer));
        LIVING.fetch_add(1, Ordering::Relaxed);
        Self { buffer }
    }

    /// What was logged so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.buffer)).into_owned()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        LIVING.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes to every living capture.
struct Tee;

impl io::Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&BUFFERS).retain(|buffer| {
            let Some(buffer) = buffer.upgrade() else { return false };
            lock(&buffer).extend_from_slice(bytes);
            true
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Tee {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
