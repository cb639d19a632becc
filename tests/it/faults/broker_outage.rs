//! RabbitMQ is away, killed, silent or out of memory. Requests do not notice; nothing is lost.

use std::time::{Duration, Instant};

use harness::works::until;

use super::{full, stack::Stack};

/// What a request may take while the broker is hurt; a healthy one takes some tens of milliseconds here.
const QUICK: Duration = Duration::from_secs(3);

/// Signs up, asks for login codes and reset links; each must be answered as ever, and soon.
async fn use_it(stack: &Stack, users: &[String], round: &str) {
    for user in users {
        let begin = Instant::now();
        stack.begin_login(user).await;
        stack.reset(user).await;
        stack.sign_up(&format!("{round}-{user}")).await;
        assert!(begin.elapsed() < QUICK, "three requests took {:?}", begin.elapsed());
    }
}

async fn with_users(stack: &Stack, count: usize) -> Vec<String> {
    let users: Vec<String> = (0..count).map(|number| format!("user-{number}@example.com")).collect();
    for user in &users {
        stack.verified(user).await;
    }
    users
}

async fn expect_mails(stack: &Stack, users: &[String], round: &str, before: usize) {
    for user in users {
        stack.expect_mails(user, before + 2).await;
        stack.expect_mails(&format!("{round}-{user}"), 1).await;
    }
}

/// T-JOB-02: the broker is down during logins, resets and sign-ups: all are answered, the age of the oldest job rises where
/// operators see it, and all mails arrive once the broker is back.
#[tokio::test(flavor = "multi_thread")]
async fn full_requests_go_on_while_the_broker_is_down() {
    if !full() {
        return;
    }
    let Some(stack) = Stack::on_own(&[]).await else { return };
    let users = with_users(&stack, 4).await;
    let node = stack.node.as_ref().unwrap();
    node.kill().await;
    stack.server.clear();
    use_it(&stack, &users, "down").await;
    until("the age of the oldest job is visible", async || {
        let metrics = stack.metrics().await;
        let age = metrics.lines().filter_map(|line| line.strip_prefix("gatepost_jobs_oldest_seconds{queue=\"mail\"} "));
        age.filter_map(|age| age.parse::<f64>().ok()).any(|age| age > 1.0)
    })
    .await;
    assert_eq!(stack.server.messages().len(), 0);
    node.launch().await;
    expect_mails(&stack, &users, "down", 0).await;
    stack.is_ready().await;
    stack.stop().await;
}

/// T-JOB-03: the broker is killed again and again under load: nothing is lost, and nothing has an effect twice.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_broker_that_is_killed_under_load_loses_nothing() {
    if !full() {
        return;
    }
    let Some(stack) = Stack::on_own(&[]).await else { return };
    let node = stack.node.as_ref().unwrap();
    for round in 0..3 {
        let killed_under_load = async {
            until("mails are on their way", async || stack.server.messages().len() > round * 40 + 5).await;
            node.kill().await;
            node.launch().await;
        };
        let load = async {
            for number in 0..40 {
                stack.sign_up(&format!("user-{round}-{number}@example.com")).await;
            }
        };
        tokio::join!(killed_under_load, load);
    }
    for round in 0..3 {
        for number in 0..40 {
            stack.expect_mails(&format!("user-{round}-{number}@example.com"), 1).await;
        }
    }
    stack.assert_nothing_lost().await;
    assert_eq!(stack.server.messages().len(), 120, "a broker's death makes no second copy");
    stack.is_ready().await;
    stack.stop().await;
}

/// T-JOB-04: the broker stands still with all connections open, as behind a black hole: requests go on, workers notice within
/// twice the heartbeat, and all go on by themselves once it moves again.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_broker_that_stands_still_is_noticed() {
    if !full() {
        return;
    }
    let Some(stack) = Stack::on_own(&[]).await else { return };
    let users = with_users(&stack, 3).await;
    let node = stack.node.as_ref().unwrap();
    node.signal("STOP");
    stack.server.clear();
    use_it(&stack, &users, "still").await;
    let begin = Instant::now();
    until("the worker is not ready", async || stack.worker_status("mail").await == Some(503)).await;
    // Twice the heartbeat of 2 s, the time-out of the operation, and the cadence of the look.
    assert!(begin.elapsed() < Duration::from_secs(12), "{:?}", begin.elapsed());
    assert_eq!(stack.server.messages().len(), 0);
    node.signal("CONT");
    expect_mails(&stack, &users, "still", 0).await;
    stack.is_ready().await;
    stack.stop().await;
}

/// T-JOB-05: a memory alarm, under which RabbitMQ answers no publish: requests go on, and so do jobs once it is over.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_memory_alarm_holds_up_no_request() {
    if !full() {
        return;
    }
    let Some(stack) = Stack::on_own(&[]).await else { return };
    let users = with_users(&stack, 3).await;
    let node = stack.node.as_ref().unwrap();
    node.ctl(&["set_vm_memory_high_watermark", "absolute", "1MB"]).await;
    until("the alarm is in force", async || node.ctl(&["eval", "rabbit_alarm:get_alarms()."]).await.contains("memory"))
        .await;
    stack.server.clear();
    use_it(&stack, &users, "alarm").await;
    assert_eq!(stack.server.messages().len(), 0, "the broker takes nothing");
    node.ctl(&["set_vm_memory_high_watermark", "0.6"]).await;
    expect_mails(&stack, &users, "alarm", 0).await;
    stack.is_ready().await;
    stack.stop().await;
}
