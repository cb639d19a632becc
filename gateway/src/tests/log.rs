//! What the log says of a request, and what it keeps to itself.

use std::{
    io,
    sync::{Arc, Mutex},
};

use poem::{Route, endpoint::make, get};
use shared::fault::{Fault, INTERNAL};
use tracing_subscriber::fmt::MakeWriter;

use super::TestApp;
use crate::problem;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn one_line_for_a_request_and_one_for_its_cause() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(lines.clone()).finish();
    let logging = tracing::subscriber::set_default(subscriber);
    let app = TestApp::with(&[], |state| {
        let failing = make(|_| async { Err::<(), _>(problem(Fault::of(&INTERNAL).source("the disk is full"))) });
        crate::guard(Route::new().at("/failing", get(failing)), state)
    })
    .await;
    // Another test may have asked meanwhile who listens, and been told that nobody does.
    tracing::callsite::rebuild_interest_cache();
    let answer = app.get("/failing?token=canary").await;
    drop(logging);

    let id = answer.header("x-request-id");
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let about: Vec<&str> = log.lines().filter(|line| line.contains(id)).collect();
    let causes: Vec<_> = about.iter().filter(|line| line.contains("the disk is full")).collect();
    assert!(causes.len() == 1 && causes[0].contains("\"ERROR\""), "{log}");
    let access: Vec<_> = about.iter().filter(|line| line.contains("duration_ms")).collect();
    assert!(access.len() == 1 && access[0].contains("\"/failing\"") && access[0].contains("500"), "{log}");
    assert!(!log.contains("canary") && !answer.text.contains("disk"), "{log}");
}
