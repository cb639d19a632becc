//! Between the table and the handlers: messages that repeat, messages that vanish, and processes that stop.

use std::time::Duration;

use harness::{
    Installation, PASSWORD, Settings, TestApp, free_port, http_client,
    smtp::SmtpServer,
    works::{PATIENCE, Wire, Works, enqueue_one, job, run_due, until},
};
use serde_json::json;
use shared::{
    broker::{Broker, memory::MemoryBroker},
    jobs::{JobState, Queue, reaper, relay},
    secret::Redacted,
};

use super::{Chore, HANGING, Hanging, Letter, app, effects};

async fn app_with(server: &SmtpServer, change: impl FnOnce(&mut shared::config::Config) + Send + 'static) -> TestApp {
    let url = Redacted::new(format!("smtp+insecure://{}", server.addr()));
    app(Settings::with(move |config| {
        config.mail.url = url;
        config.jobs.poll_milliseconds = 20;
        change(config);
    }))
    .await
}

/// T-JOB-07, Q08: each message is delivered five times, also beside each other; one effect and one mail come of it.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_messages_have_one_effect_and_one_mail() {
    let server = SmtpServer::start().await.unwrap();
    let app = app_with(&server, |_| {}).await;
    let works = Works::start(&app, Wire::repeating(5)).await;
    for number in 0..20 {
        enqueue_one(&app, &Chore { number }).await;
        enqueue_one(&app, &Letter { to: format!("reader-{number}@example.com") }).await;
    }
    until("all jobs are done", async || {
        app.count_jobs("testing.chore", JobState::Done).await + app.count_jobs("testing.letter", JobState::Done).await
            == 40
    })
    .await;
    let wire = works.stop().await;
    assert!(wire.seen().len() >= 40);
    // What is left of the copies meets finished jobs.
    let works = Works::start(&app, Wire::repeating(5)).await;
    let last = enqueue_one(&app, &Chore { number: 20 }).await;
    until("the last job is done", async || job(&app, last).await.0 == JobState::Done).await;
    works.stop().await;
    run_due(&app).await;
    assert_eq!(effects(&app).await, 21);
    assert_eq!(app.number("SELECT COUNT(DISTINCT number) AS number FROM effects").await, 21);
    assert_eq!((server.messages().len(), server.transactions_seen()), (20, 20));
    assert_eq!(
        app.number("SELECT CAST(MAX(attempt) AS BIGINT) AS number FROM jobs WHERE name LIKE 'testing.%'").await,
        1
    );
}

/// Q08: a message that comes again after its job is done, by hand or from a broker that was restored, sends no second mail.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_late_again_sends_no_second_mail() {
    let server = SmtpServer::start().await.unwrap();
    let app = app_with(&server, |_| {}).await;
    let works = Works::start(&app, Wire::default()).await;
    let id = enqueue_one(&app, &Letter { to: "once@example.com".into() }).await;
    until("the mail is sent", async || job(&app, id).await.0 == JobState::Done).await;
    let message = works.wire.seen().into_iter().find(|seen| seen.job_id == id).unwrap();
    for _ in 0..5 {
        assert!(works.wire.publish(std::slice::from_ref(&message)).await[0].is_ok());
    }
    let after = enqueue_one(&app, &Letter { to: "after@example.com".into() }).await;
    until("a later mail is sent", async || job(&app, after).await.0 == JobState::Done).await;
    works.stop().await;
    run_due(&app).await;
    assert_eq!(server.messages_to("once@example.com").len(), 1);
    assert_eq!(job(&app, id).await, (JobState::Done, 1, None));
}

/// T-JOB-06: messages that vanish from a queue are handed out again; their jobs are done once.
#[tokio::test(flavor = "multi_thread")]
async fn a_purged_queue_loses_no_job() {
    let app = app(Settings::default()).await;
    let broker = MemoryBroker::default();
    for number in 0..10 {
        enqueue_one(&app, &Chore { number }).await;
    }
    assert_eq!(relay::pass(&app.kernel, &broker).await.unwrap().published, 10);
    assert_eq!(app.count_jobs("testing.chore", JobState::Dispatched).await, 10);
    broker.purge(Queue::Identify);
    assert_eq!(relay::pass(&app.kernel, &broker).await.unwrap().published, 0, "the broker is believed for a while");
    let reap = async || reaper::pass(&app.kernel, |name| app.registry.retry_of(name)).await.unwrap();
    assert_eq!(reap().await.undelivered, 0);
    app.advance(Duration::from_secs(app.kernel.config.jobs.redispatch_seconds + 1));
    assert_eq!(reap().await.undelivered, 10);
    assert_eq!(relay::pass(&app.kernel, &broker).await.unwrap().published, 10);
    let mut consumer = broker.consume(Queue::Identify, 10).await.unwrap();
    for _ in 0..10 {
        let delivery = tokio::time::timeout(PATIENCE, consumer.next()).await.unwrap().unwrap();
        let id = delivery.dispatch().unwrap().job_id;
        let never = shared::lifecycle::CancellationToken::new();
        let class = workers::attempt::run(&app.context, &app.registry, id, &never).await.unwrap();
        assert_eq!(class, Some("done"));
        delivery.ack().await;
    }
    assert_eq!(effects(&app).await, 10);
}

/// Jobs: the relay hands over what someone waits for before what may wait.
#[tokio::test(flavor = "multi_thread")]
async fn the_relay_is_bounded_per_queue_and_begins_with_mails() {
    let app = app(Settings::with(|config| config.jobs.relay_batch = 5)).await;
    for number in 0..20 {
        enqueue_one(&app, &Chore { number }).await;
    }
    let letter = enqueue_one(&app, &Letter { to: "first@example.com".into() }).await;
    let wire = Wire::default();
    let pass = relay::pass(&app.kernel, &wire).await.unwrap();
    assert_eq!((pass.published, pass.refused, pass.full), (6, 0, true));
    assert_eq!(wire.seen()[0].job_id, letter);
    run_due(&app).await;
}

/// T-JOB-10: a process that stops while a handler hangs gives its job back within the grace period: nothing half done, no
/// lease, no attempt counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_gives_back_what_does_not_finish() {
    let app = app(Settings::with(|config| {
        config.jobs.poll_milliseconds = 20;
        config.http.grace_seconds = 3;
    }))
    .await;
    let before = HANGING.load(std::sync::atomic::Ordering::SeqCst);
    let works = Works::start(&app, Wire::default()).await;
    let id = enqueue_one(&app, &Hanging { number: 1 }).await;
    until("the handler runs", async || {
        job(&app, id).await.0 == JobState::Running && HANGING.load(std::sync::atomic::Ordering::SeqCst) > before
    })
    .await;
    works.stop().await;
    assert_eq!(job(&app, id).await, (JobState::Queued, 0, Some("the worker stopped".into())));
    let leases = "SELECT COUNT(*) AS number FROM jobs WHERE lease_owner IS NOT NULL OR state = 'running'";
    assert_eq!((app.number(leases).await, effects(&app).await), (0, 0));
    app.forget_jobs();
}

/// T-JOB-10: SIGTERM with mails in flight: the process ends with 0 in time, holds no lease, and what it did not send is sent
/// by the next one, each mail once.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_process_leaves_no_lease_and_loses_no_mail() {
    const MAILS: usize = 30;
    let server = SmtpServer::start().await.unwrap();
    server.set_delay_per_mail(Duration::from_millis(300));
    let port = free_port();
    let installation = Installation::new()
        .set("HTTP__LISTEN", &format!("127.0.0.1:{port}"))
        .set("HTTP__GRACE_SECONDS", "10")
        .set("MAIL__URL", &format!("smtp+insecure://{}", server.addr()))
        .set("EMAIL_VERIFICATION__SIGNUP_PER_NETWORK__COUNT", "0");
    let mut process = installation.start("serve", &["serve"]);
    installation.wait_for(&format!("http://127.0.0.1:{port}/health/ready"), PATIENCE).await;
    let client = http_client();
    for number in 0..MAILS {
        let body = json!({ "email": format!("user-{number}@example.com"), "password": PASSWORD });
        let url = format!("http://127.0.0.1:{port}/api/signup");
        let answer = client.post(url).header("content-type", "application/json").body(body.to_string());
        assert_eq!(answer.send().await.unwrap().status(), 202);
    }
    server.wait_for(1, PATIENCE).await.unwrap();
    assert!(server.messages().len() < MAILS, "it must be stopped while mails are in flight");
    process.signal("TERM").await;
    assert_eq!(process.wait(Duration::from_secs(15)).await, Some(true), "{}", installation.logs());
    let list = installation.command(&["jobs", "list", "--limit", "100", "--state", "running"]).output().await.unwrap();
    assert!(list.status.success() && list.stdout.is_empty(), "{list:?}");
    server.set_delay_per_mail(Duration::ZERO);
    let mut process = installation.start("serve", &["serve"]);
    installation.wait_for(&format!("http://127.0.0.1:{port}/health/ready"), PATIENCE).await;
    server.wait_for(MAILS, PATIENCE).await.unwrap_or_else(|err| panic!("{err}\n{}", installation.logs()));
    process.signal("TERM").await;
    assert_eq!(process.wait(Duration::from_secs(15)).await, Some(true), "{}", installation.logs());
    for number in 0..MAILS {
        assert_eq!(server.messages_to(&format!("user-{number}@example.com")).len(), 1);
    }
}
