//! Processes that are told to stop before they have started.

use std::time::Duration;

use harness::{Installation, free_port};
use tokio::net::TcpListener;

/// The first process of a container is not ended by a signal that it does not listen for: one that waits for its broker must
/// listen already.
#[tokio::test]
async fn a_process_that_still_starts_stops_when_it_is_told_to() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broker = format!("amqp://guest:guest@{}", silent.local_addr().unwrap());
    let installation = Installation::new()
        .set("HTTP__LISTEN", &format!("127.0.0.1:{}", free_port()))
        .set("BROKER__URL", &broker)
        .set("BROKER__TIMEOUT_SECONDS", "60");
    let migrated = installation.command(&["migrate"]).output().await.unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    for arguments in [&["serve"][..], &["gateway"], &["worker", "mail"]] {
        let mut process = installation.start(arguments[0], arguments);
        let _unanswered = tokio::time::timeout(Duration::from_secs(30), silent.accept()).await.unwrap().unwrap();
        process.signal("TERM").await;
        assert_eq!(process.wait(Duration::from_secs(10)).await, Some(true), "{arguments:?}\n{}", installation.logs());
    }
}
