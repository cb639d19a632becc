//! T-SMTP-08: many mails at once.

use std::time::Duration;

use harness::{
    smtp::Options,
    works::{PATIENCE, Wire, Works, enqueue_one, run_due, until},
};
use shared::jobs::JobState;

use super::Post;
use crate::jobs::{Letter, Notice};

/// T-SMTP-08: a burst at a slow server opens no more connections than configured, and what someone waits for is not behind
/// the notices that were there before.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_bounded_and_codes_overtake_notices() {
    const NOTICES: usize = 200;
    let post = Post::with(Options::default(), "smtp+insecure://", |config| config.mail.connections = 3).await;
    let app = &post.app;
    post.server.set_delay_per_mail(Duration::from_millis(15));
    for number in 0..NOTICES {
        enqueue_one(app, &Notice { to: format!("notice-{number}@example.com") }).await;
    }
    let works = Works::start(app, Wire::default()).await;
    post.server.wait_for(10, PATIENCE).await.unwrap();
    for number in 0..10 {
        enqueue_one(app, &Letter { to: format!("code-{number}@example.com") }).await;
    }
    let all = post.server.wait_for(NOTICES + 10, PATIENCE).await.unwrap();
    let is_code = |rcpt: &String| rcpt.starts_with("code-");
    let last_code = all.iter().rposition(|message| message.rcpts.iter().any(is_code)).unwrap();
    assert!(last_code < NOTICES / 2, "the last code was mail number {last_code}");
    assert!(post.server.max_concurrent_connections() <= 3, "{}", post.server.max_concurrent_connections());
    assert_eq!(all.len(), NOTICES + 10, "each once");
    until("all jobs are done", async || {
        post.count("testing.notice", JobState::Done).await + post.count("testing.letter", JobState::Done).await
            == NOTICES + 10
    })
    .await;
    works.stop().await;
    run_due(app).await;
}

/// T-SMTP-08: connections are used again; a mail does not pay for a connection of its own.
#[tokio::test(flavor = "multi_thread")]
async fn mails_share_connections() {
    let post = Post::with(Options::default(), "smtp+insecure://", |config| config.mail.connections = 2).await;
    for number in 0..40 {
        enqueue_one(&post.app, &Letter { to: format!("reader-{number}@example.com") }).await;
    }
    let works = Works::start(&post.app, Wire::default()).await;
    post.server.wait_for(40, PATIENCE).await.unwrap();
    assert!(post.server.connections_seen() <= 4, "{}", post.server.connections_seen());
    works.stop().await;
    run_due(&post.app).await;
}
