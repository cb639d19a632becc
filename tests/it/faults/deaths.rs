//! Processes that die at the worst moment, queues that vanish: nothing accepted is lost, second copies are the same.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use harness::{
    executable, free_port,
    smtp::{Fault, Stage},
    works::{PATIENCE, until},
};

use super::{
    full,
    stack::{QUEUES, Stack},
};
use crate::story;

/// The story through a gateway and four workers, over PostgreSQL, RabbitMQ and SMTP: separate processes in all places.
#[tokio::test(flavor = "multi_thread")]
async fn full_separate_processes_tell_the_whole_story() {
    if !full() {
        return;
    }
    let port = free_port();
    let spool = std::env::temp_dir().join(format!("gatepost-spool-{}", shared::ids::next()));
    let mut sink = tokio::process::Command::new(executable("smtp_sink"));
    sink.arg(port.to_string()).arg(&spool).stdin(Stdio::null()).kill_on_drop(true);
    let mut sink = sink.spawn().unwrap();
    let url = format!("smtp+insecure://127.0.0.1:{port}");
    let stack = Stack::on_shared(&[("MAIL__URL", &url)]).await;
    let told = story::tell(&stack.base, Some(&spool)).await;
    assert!(told.is_ok(), "{told:?}\n{}", stack.installation.logs());
    stack.stop().await;
    sink.kill().await.unwrap();
    std::fs::remove_dir_all(spool).unwrap();
}

/// Jobs: a worker dies after the mail server has the mail and before it can say so: the mail is sent again, and the copies
/// are the same byte for byte.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_worker_killed_after_the_hand_over_sends_the_same_again() {
    if !full() {
        return;
    }
    let mut stack = Stack::on_shared(&[("MAIL__TIMEOUT_SECONDS", "5")]).await;
    let email = "twice@example.com";
    // The server has the whole message and will keep it, but its 250 comes too late for the worker that sent it.
    stack.server.script(vec![Fault::stall(Stage::EndOfData, Duration::from_secs(2))]);
    stack.sign_up(email).await;
    let has_all = |server: &harness::smtp::SmtpServer| server.bodies_seen() == 1;
    stack.server.wait_until("the server has the message", PATIENCE, has_all).await.unwrap();
    stack.process("mail").kill().await;
    assert_eq!(stack.number("SELECT COUNT(*) AS number FROM mail_deliveries WHERE state = 'sending'").await, 1);
    assert_eq!(stack.server.messages().len(), 0);
    stack.expect_mails(email, 1).await;
    stack.launch("mail");
    stack.expect_mails(email, 2).await;
    let copies = stack.server.messages_to(email);
    assert_eq!(copies[0].raw, copies[1].raw);
    stack.assert_nothing_lost().await;
    assert_eq!(stack.server.messages_to(email).len(), 2);
    assert_eq!(stack.number("SELECT attempt::bigint AS number FROM jobs WHERE queue = 'mail'").await, 2);
    stack.stop().await;
}

/// Jobs: the gateway dies right after its answers: every mail that was promised is sent, by the relays of the workers.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_gateway_killed_after_its_answers_loses_no_mail() {
    if !full() {
        return;
    }
    let mut stack = Stack::on_shared(&[]).await;
    for round in 0..3 {
        for number in 0..5 {
            stack.sign_up(&format!("user-{round}-{number}@example.com")).await;
        }
        stack.process("gateway").kill().await;
        stack.launch("gateway");
        stack.is_ready().await;
    }
    for round in 0..3 {
        for number in 0..5 {
            stack.expect_mails(&format!("user-{round}-{number}@example.com"), 1).await;
        }
    }
    stack.assert_nothing_lost().await;
    assert_eq!(stack.server.messages().len(), 15);
    stack.stop().await;
}

/// T-JOB-06: a queue is purged, then deleted, while messages wait in it: their jobs are handed out again.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_purged_or_deleted_queue_loses_nothing() {
    if !full() {
        return;
    }
    let mut stack = Stack::on_shared(&[]).await;
    for (round, deletes) in [("purged", false), ("deleted", true)] {
        stack.process("mail").kill().await;
        for number in 0..10 {
            stack.sign_up(&format!("{round}-{number}@example.com")).await;
        }
        let waiting = "SELECT COUNT(*) AS number FROM jobs WHERE state = 'dispatched' AND queue = 'mail'";
        until("the broker has the messages", async || stack.number(waiting).await == 10).await;
        if deletes {
            stack.vhost.delete_queue("gatepost.mail").await;
        } else {
            stack.vhost.purge("gatepost.mail").await;
        }
        stack.launch("mail");
        for number in 0..10 {
            stack.expect_mails(&format!("{round}-{number}@example.com"), 1).await;
        }
        // Before the worker is killed again, which could cause second copies.
        stack.assert_nothing_lost().await;
    }
    assert_eq!(stack.server.messages().len(), 20, "each once");
    stack.stop().await;
}

/// T-JOB-09: a worker stands still beyond its lease: another one finishes, the first one's commit is refused when it moves
/// again, and there is no second mail beyond the one that was under way.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_worker_that_stands_still_is_overtaken() {
    if !full() {
        return;
    }
    let mut stack = Stack::on_shared(&[("JOBS__LEASE_SECONDS", "4")]).await;
    let email = "still@example.com";
    stack.server.script(vec![Fault::stall(Stage::RcptTo, Duration::from_secs(1))]);
    stack.sign_up(email).await;
    let has_begun = |server: &harness::smtp::SmtpServer| server.transactions_seen() == 1;
    stack.server.wait_until("the mail is begun", PATIENCE, has_begun).await.unwrap();
    stack.process("mail").signal("STOP").await;
    let mut other = stack.installation.start("second mail", &["worker", "mail"]);
    stack.expect_mails(email, 1).await;
    let done = "SELECT COUNT(*) AS number FROM jobs WHERE state = 'done' AND queue = 'mail'";
    until("the other worker has finished", async || stack.number(done).await == 1).await;
    stack.process("mail").signal("CONT").await;
    stack.is_ready().await;
    stack.sign_up("after@example.com").await;
    stack.expect_mails("after@example.com", 1).await;
    stack.assert_nothing_lost().await;
    assert!(stack.server.messages_to(email).len() <= 2);
    assert_eq!(stack.number("SELECT MAX(attempt)::bigint AS number FROM jobs WHERE queue = 'mail'").await, 2);
    other.signal("TERM").await;
    assert_eq!(other.wait(Duration::from_secs(20)).await, Some(true));
    stack.stop().await;
}

/// T-JOB-10: workers are terminated with mails in flight: each ends with 0 in time, no lease is left, and what they gave back
/// is done by their successors.
#[tokio::test(flavor = "multi_thread")]
async fn full_terminated_workers_drain() {
    if !full() {
        return;
    }
    let mut stack = Stack::on_shared(&[]).await;
    stack.server.set_delay_per_mail(Duration::from_millis(200));
    for number in 0..40 {
        stack.sign_up(&format!("user-{number}@example.com")).await;
    }
    stack.server.wait_for(1, PATIENCE).await.unwrap();
    let begin = Instant::now();
    for queue in QUEUES {
        stack.process(queue).signal("TERM").await;
    }
    for queue in QUEUES {
        let ended = stack.process(queue).wait(Duration::from_secs(15)).await;
        assert_eq!(ended, Some(true), "{queue} {:?}\n{}", begin.elapsed(), stack.installation.logs());
    }
    let leases = "SELECT COUNT(*) AS number FROM jobs WHERE state = 'running' OR lease_owner IS NOT NULL";
    assert_eq!(stack.number(leases).await, 0);
    stack.server.set_delay_per_mail(Duration::ZERO);
    for queue in QUEUES {
        stack.launch(queue);
    }
    stack.server.wait_for(40, Duration::from_secs(60)).await.unwrap();
    stack.assert_nothing_lost().await;
    assert_eq!(stack.server.messages().len(), 40, "each once");
    stack.stop().await;
}
