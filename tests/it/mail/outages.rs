//! Servers that are away, silent or misconfigured.

use std::time::{Duration, Instant};

use harness::{
    OTHER_PASSWORD, PASSWORD,
    smtp::{Fault, Options, Stage},
    token_in,
    works::{Wire, Works, enqueue_one, job, run_due, run_once, until},
};
use serde_json::json;
use shared::jobs::JobState;

use super::Post;
use crate::jobs::{Chore, Letter, Notice};

fn letter(to: &str) -> Letter {
    Letter { to: to.to_owned() }
}

/// T-SMTP-03: busy, silent and absent servers are tried again, and each try ends within the time limit of its step.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_frees_the_worker_in_time() {
    let stall = Duration::from_secs(60);
    for fault in [
        Fault::reply(Stage::Connect, 421, "4.3.2 busy"),
        Fault::reply(Stage::Ehlo, 421, "4.3.2 busy"),
        Fault::reply(Stage::MailFrom, 421, "4.3.2 busy"),
        Fault::stall(Stage::Connect, stall),
        Fault::stall(Stage::RcptTo, stall),
        Fault::stall(Stage::Data, stall),
        Fault::stall(Stage::EndOfData, stall),
    ] {
        let post = Post::start().await;
        let app = &post.app;
        post.server.script(vec![fault.clone()]);
        let id = enqueue_one(app, &letter("slow@example.com")).await;
        let begin = Instant::now();
        assert_eq!(run_once(app, id).await, Some("retrying"));
        // The step and a short farewell.
        assert!(begin.elapsed() < Duration::from_secs(4), "{fault:?} held the worker for {:?}", begin.elapsed());
        let (state, attempts, error) = job(app, id).await;
        assert_eq!((state, attempts), (JobState::Retrying, 1), "{fault:?}: {error:?}");
        post.settle(id).await;
        assert_eq!(job(app, id).await, (JobState::Done, 2, None), "{fault:?}");
        assert_eq!(post.server.messages_to("slow@example.com").len(), 1, "{fault:?}");
    }
}

/// T-SMTP-03: nobody listens, or the name of the server does not resolve.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_tried_again() {
    let post = Post::start().await;
    post.server.stop().await;
    let id = enqueue_one(&post.app, &letter("later@example.com")).await;
    run_due(&post.app).await;
    assert_eq!((job(&post.app, id).await.0, post.ledger(id).await.as_deref()), (JobState::Retrying, Some("sending")));
    post.server.restart().await.unwrap();
    post.settle(id).await;
    assert_eq!(job(&post.app, id).await, (JobState::Done, 2, None));
    // A label of more than 63 octets cannot be a name in DNS (RFC 1035, section 2.3.4).
    let nowhere = format!("smtp+insecure://{}.test:25", "a".repeat(70));
    let post = Post::with(Options::default(), "smtp+insecure://", move |config| {
        config.mail.url = shared::secret::Redacted::new(nowhere);
    })
    .await;
    let id = enqueue_one(&post.app, &letter("later@example.com")).await;
    run_due(&post.app).await;
    assert_eq!(job(&post.app, id).await.0, JobState::Retrying);
    post.app.forget_jobs();
}

/// T-SMTP-03: while all mails hang at a silent server, the jobs of other queues are done.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_holds_up_no_other_queue() {
    let post = Post::start().await;
    let app = &post.app;
    post.server.set_default(Some(Fault::stall(Stage::RcptTo, Duration::from_secs(60))));
    let works = Works::start(app, Wire::default()).await;
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(enqueue_one(app, &letter(&format!("reader-{number}@example.com"))).await);
    }
    post.server.wait_until("mails hang", super::PATIENCE, |server| server.transactions_seen() > 3).await.unwrap();
    let chore = enqueue_one(app, &Chore { number: 1 }).await;
    let begin = Instant::now();
    until("the chore is done", async || job(app, chore).await.0 == JobState::Done).await;
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!(post.server.messages().len(), 0);
    works.stop().await;
    app.forget_jobs();
}

/// T-SMTP-05, Q09: the server is away for longer than codes are good: the login itself goes on at once, its code expires and
/// is never mailed, and the notice arrives afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn codes_expire_in_an_outage_and_notices_arrive_after_it() {
    let post = Post::start().await;
    let (app, email) = (&post.app, "outage@example.com");
    post.sign_up(email).await;
    app.browser().post("/api/reset", json!({ "email": email })).await.expect(204);
    run_due(app).await;
    let token = token_in(&post.last(email).text().unwrap());
    post.server.stop().await;
    post.server.clear();
    let browser = app.browser();
    let body = json!({ "token": token, "password": OTHER_PASSWORD });
    browser.post("/api/reset/complete", body).await.expect(200);
    let begin = Instant::now();
    let pending = post.begin_login(&browser, email, OTHER_PASSWORD).await;
    assert!(begin.elapsed() < Duration::from_secs(2), "a login waits for no mail server: {:?}", begin.elapsed());
    let code = post.job_id("email_mfa.send_login_code").await;
    let notice = post.job_id("password.notify_changed").await;
    let end = app.kernel.clock.now() + Duration::from_secs(16 * 60);
    while app.kernel.clock.now() < end {
        run_due(app).await;
        app.advance(Duration::from_secs(30));
    }
    let (state, attempts, _) = job(app, code).await;
    assert_eq!(state, JobState::Expired);
    assert!(attempts > 3, "it was tried while it was good: {attempts}");
    assert_eq!(post.ledger(code).await.as_deref(), Some("expired"));
    assert_eq!(job(app, notice).await.0, JobState::Retrying);
    post.server.restart().await.unwrap();
    post.settle(notice).await;
    assert_eq!(job(app, notice).await.0, JobState::Done);
    app.advance(Duration::from_secs(3600));
    run_due(app).await;
    let subjects: Vec<_> = post.server.messages().iter().map(harness::smtp::Received::subject).collect();
    assert_eq!(subjects, ["Your password was changed"], "no code is mailed late");
    let body = json!({ "login_id": pending["login_id"], "code": "000000" });
    browser.post("/api/login/email_mfa", body).await.expect_problem(400, "login_expired");
}

/// Q09: with the server away, sign-up, login and reset answer as ever; the waiting jobs and why they wait are visible, dead
/// ones too, and an administrator sends them afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_visible_and_harms_no_request() {
    let post = Post::start().await;
    let (app, email) = (&post.app, "admin@example.com");
    post.sign_up(email).await;
    let admin = app.browser();
    let pending = post.begin_login(&admin, email, PASSWORD).await;
    run_due(app).await;
    post.finish_login(&admin, email, &pending).await;
    post.server.stop().await;
    post.server.clear();
    let user = app.browser();
    let begin = Instant::now();
    user.post("/api/signup", json!({ "email": "new@example.com", "password": PASSWORD })).await.expect(202);
    post.begin_login(&user, email, PASSWORD).await;
    user.post("/api/reset", json!({ "email": email })).await.expect(204);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let notice = enqueue_one(app, &Notice { to: "notice@example.com".into() }).await;
    run_due(app).await;
    let listed = admin.get("/api/jobs?state=retrying").await.expect(200).json();
    let errors: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| item["last_error"].as_str()).collect();
    assert_eq!(errors.len(), 4, "{listed}");
    assert!(errors.iter().all(|error| error.is_some_and(|error| error.contains("(connect)"))), "{errors:?}");
    assert!(!listed.to_string().contains("@example.com"), "{listed}");
    post.settle(notice).await;
    let dead = admin.get("/api/jobs?state=dead").await.expect(200).json();
    assert_eq!(
        (dead["items"][0]["id"].as_str(), dead["items"][0]["attempt"].as_i64()),
        (Some(notice.to_string().as_str()), Some(3))
    );
    post.server.restart().await.unwrap();
    admin.post(&format!("/api/jobs/{notice}/retry"), json!({})).await.expect(200);
    app.advance(Duration::from_secs(31));
    run_due(app).await;
    assert_eq!(post.server.messages_to("notice@example.com").len(), 1);
    assert_eq!(post.server.messages_to("new@example.com").len(), 1);
    assert_eq!(post.server.messages_to(email).len(), 2, "the code and the reset link");
}

/// T-SMTP-06: refused credentials open the circuit: few connections, no attempt counted, readiness red with the reason; once
/// repaired, everything is sent and readiness is green.
#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_pause_the_queue_and_burn_no_attempt() {
    let options = Options { auth: Some(("gatepost".into(), "right".into())), ..Options::default() };
    let post = Post::with(options, "smtp+insecure://gatepost:right@", |config| config.jobs.concurrency = 2).await;
    let app = &post.app;
    post.server.set_default(Some(Fault::reply(Stage::Auth, 535, "5.7.8 no")));
    let works = Works::start(app, Wire::default()).await;
    until("the process is ready", async || app.browser().get("/health/ready").await.status == 200).await;
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(enqueue_one(app, &letter(&format!("reader-{number}@example.com"))).await);
    }
    until("readiness is red", async || app.browser().get("/health/ready").await.status == 503).await;
    let report = app.browser().get("/health/ready").await.json();
    assert_eq!(report["components"]["mail"]["status"], "not_ready", "{report}");
    let chore = enqueue_one(app, &Chore { number: 1 }).await;
    until("other queues go on", async || job(app, chore).await.0 == JobState::Done).await;
    post.server
        .wait_until("it is tried again", super::PATIENCE, |server| server.connections_seen() >= 4)
        .await
        .unwrap();
    assert!(post.server.connections_seen() <= 12, "the circuit is open: {}", post.server.connections_seen());
    assert_eq!(
        app.number(
            "SELECT CAST(MAX(attempt) AS BIGINT) AS number FROM jobs WHERE queue = 'mail' AND state <> 'running'"
        )
        .await,
        0
    );
    assert_eq!((post.server.messages().len(), post.server.transactions_seen()), (0, 0));
    post.server.set_default(None);
    until("everything is sent", async || post.count("testing.letter", JobState::Done).await == 12).await;
    until("readiness is green", async || app.browser().get("/health/ready").await.status == 200).await;
    assert_eq!(app.number("SELECT CAST(MAX(attempt) AS BIGINT) AS number FROM jobs WHERE queue = 'mail'").await, 1);
    assert_eq!(post.server.messages().len(), 12);
    works.stop().await;
    run_due(app).await;
}
