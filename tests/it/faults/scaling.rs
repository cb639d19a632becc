//! More processes do more work and nothing twice; one queue does not hold up another.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use harness::{Process, works::until};

use super::{full, stack::Stack};

/// Mails that a test puts into a queue behind the gateway's back. Each is a real job with a real mail.
async fn enqueue(stack: &Stack, queue: &str, name: &str, count: usize) {
    stack
        .execute(&format!(
            "INSERT INTO jobs (id, name, version, queue, payload, state, attempt, run_at, fence, created_at)
             SELECT gen_random_uuid(), 'mail.send_test_mail', 1, '{queue}', '{{\"to\":\"{name}-' || n || '@example.com\"}}',
             'queued', 0, now, 0, now
             FROM generate_series(1, {count}) AS n,
             (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS clock"
        ))
        .await;
}

/// How many jobs each of the processes has ended.
fn shares(processes: &[Process]) -> Vec<usize> {
    let ended = |process: &Process| {
        let text = std::fs::read_to_string(&process.log).unwrap_or_default();
        text.lines().filter(|line| line.contains("job ended")).count()
    };
    processes.iter().map(ended).collect()
}

/// Scaling: one, two and four worker processes of a queue share its work: it takes accordingly less time, every process has
/// a part in it, and no mail goes out twice.
#[tokio::test(flavor = "multi_thread")]
async fn full_more_workers_do_more_and_nothing_twice() {
    if !full() {
        return;
    }
    let mut stack = Stack::on_shared(&[
        ("JOBS__CONCURRENCY", "2"),
        ("MAIL__CONNECTIONS", "2"),
        ("JOBS__LEASE_SECONDS", "30"),
        ("JOBS__REDISPATCH_SECONDS", "30"),
    ])
    .await;
    stack.process("mail").signal("TERM").await;
    assert_eq!(stack.process("mail").wait(Duration::from_secs(20)).await, Some(true));
    // The mail server is what takes time, so that the machine is not what is measured.
    stack.server.set_delay_per_mail(Duration::from_millis(100));
    let mut took = BTreeMap::new();
    let mut workers: Vec<Process> = Vec::new();
    let mut mails = 0;
    for fleet in [1, 2, 4] {
        while workers.len() < fleet {
            workers.push(stack.installation.start(&format!("mail-{}", workers.len()), &["worker", "mail"]));
        }
        // The first mail of each round says that they are all there.
        enqueue(&stack, "mail", &format!("warm-{fleet}"), fleet * 8).await;
        mails += fleet * 8;
        stack.server.wait_for(mails, Duration::from_secs(60)).await.unwrap();
        let before = shares(&workers);
        let begin = Instant::now();
        enqueue(&stack, "mail", &format!("round-{fleet}"), 160).await;
        mails += 160;
        stack.server.wait_for(mails, Duration::from_secs(120)).await.unwrap();
        took.insert(fleet, begin.elapsed());
        stack.assert_nothing_lost().await;
        let parts: Vec<_> = shares(&workers).iter().zip(&before).map(|(after, before)| after - before).collect();
        assert!(parts.iter().all(|part| *part * fleet * 3 >= 160), "{fleet} processes shared 160 jobs as {parts:?}");
    }
    assert_eq!(stack.server.messages().len(), mails, "each once");
    assert!(took[&1].as_secs_f64() / took[&2].as_secs_f64() > 1.5, "{took:?}");
    assert!(took[&1].as_secs_f64() / took[&4].as_secs_f64() > 2.5, "{took:?}");
    for worker in &workers {
        worker.signal("TERM").await;
    }
    for mut worker in workers {
        assert_eq!(worker.wait(Duration::from_secs(20)).await, Some(true));
    }
    stack.launch("mail");
    stack.is_ready().await;
    stack.stop().await;
}

/// Scaling: a hundred thousand notices wait, and login codes are with the mail server within a second. Then the workers of the
/// notices are stopped, and nobody notices.
#[tokio::test(flavor = "multi_thread")]
async fn full_login_codes_overtake_a_hundred_thousand_notices() {
    if !full() {
        return;
    }
    let mut stack = Stack::on_shared(&[("JOBS__REDISPATCH_SECONDS", "120"), ("JOBS__POLL_MILLISECONDS", "1000")]).await;
    stack.verified("waiting@example.com").await;
    enqueue(&stack, "notify", "notice", 100_000).await;
    stack.server.wait_for(50, Duration::from_secs(60)).await.unwrap();
    for _ in 0..100 {
        stack.begin_login("waiting@example.com").await;
    }
    let codes = "name = 'email_mfa.send_login_code'";
    let done = format!("SELECT COUNT(*) AS number FROM jobs WHERE {codes} AND state = 'done'");
    until("all codes are sent", async || stack.number(&done).await == 100).await;
    let p99 = format!(
        "SELECT (percentile_cont(0.99) WITHIN GROUP (ORDER BY handed_over_at - jobs.created_at) / 1000)::bigint AS number
         FROM jobs JOIN mail_deliveries ON job_id = jobs.id WHERE {codes}"
    );
    let p99 = stack.number(&p99).await;
    let left = "SELECT COUNT(*) AS number FROM jobs WHERE queue = 'notify' AND state <> 'done'";
    let left = stack.number(left).await;
    assert!(left > 50_000, "only {left} notices were still waiting");
    assert!(p99 < 1000, "a code took {p99} ms");
    stack.process("notify").signal("TERM").await;
    assert_eq!(stack.process("notify").wait(Duration::from_secs(20)).await, Some(true));
    stack.begin_login("waiting@example.com").await;
    let done = format!("SELECT COUNT(*) - 100 AS number FROM jobs WHERE {codes} AND state = 'done'");
    until("a code is sent while nobody works on notices", async || stack.number(&done).await == 1).await;
    assert_eq!(stack.worker_status("mail").await, Some(200));
    stack
        .execute("UPDATE jobs SET state = 'cancelled', finished_at = 0 WHERE queue = 'notify' AND state <> 'done'")
        .await;
    stack.launch("notify");
    stack.is_ready().await;
    stack.stop().await;
}
