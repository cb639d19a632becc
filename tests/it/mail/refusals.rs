//! Servers that say no: for now, for good, or because of us.

use std::time::Duration;

use harness::{
    smtp::{Fault, Stage},
    works::{enqueue_one, job, run_due},
};
use shared::jobs::{JobState, operate};

use super::{Post, identity};
use crate::jobs::Letter;

fn letter(to: &str) -> Letter {
    Letter { to: to.to_owned() }
}

/// T-SMTP-01: 451 three times, then 250: one mail at the fourth attempt, and waits that grow within their bounds.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_put_off_three_times_is_sent_once() {
    let post = Post::start().await;
    post.sign_up("grey@example.com").await;
    post.server.clear();
    post.server.script(vec![
        Fault::reply(Stage::RcptTo, 451, "4.7.1 greylisted"),
        Fault::reply(Stage::Data, 451, "4.3.0 later"),
        Fault::reply(Stage::EndOfData, 451, "4.3.2 later still"),
    ]);
    let (app, browser) = (&post.app, post.app.browser());
    let pending = post.begin_login(&browser, "grey@example.com", harness::PASSWORD).await;
    let id = post.job_id("email_mfa.send_login_code").await;
    for (attempt, bound) in [(1, 1_u64), (2, 2), (3, 4)] {
        let before = app.kernel.clock.now();
        assert_eq!(run_due(app).await, 1);
        let after = app.kernel.clock.now();
        let row = operate::find(app.kernel.db.reader(), id).await.unwrap().unwrap();
        assert_eq!((row.state, row.attempt), (JobState::Retrying, attempt));
        assert!(row.last_error.is_some_and(|error| error.starts_with("451 ")));
        let bound = Duration::from_secs(bound);
        assert!(row.run_at >= before + bound / 10 && row.run_at <= after + bound, "attempt {attempt}");
        assert_eq!(run_due(app).await, 0, "not before its time");
        app.advance(row.run_at.since(app.kernel.clock.now()));
    }
    assert_eq!(run_due(app).await, 1);
    assert_eq!(job(app, id).await, (JobState::Done, 4, None));
    assert_eq!((post.server.messages().len(), post.server.transactions_seen()), (1, 4));
    assert_eq!(post.ledger(id).await.as_deref(), Some("handed_over"));
    post.finish_login(&browser, "grey@example.com", &pending).await;
}

/// T-SMTP-02: a refusal for good is dead after one attempt, keeps further mails from that recipient for a day, and harms
/// nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_that_is_refused_for_good_is_left_alone_for_a_day() {
    for (stage, code, text) in [
        (Stage::RcptTo, 550, "5.1.1 no such user"),
        (Stage::Data, 554, "5.7.1 no"),
        (Stage::EndOfData, 554, "5.6.0 no"),
    ] {
        let post = Post::start().await;
        let app = &post.app;
        post.server.script(vec![Fault::reply(stage, code, text)]);
        let refused = enqueue_one(app, &letter("gone@example.com")).await;
        run_due(app).await;
        let (state, attempts, error) = job(app, refused).await;
        assert_eq!((state, attempts), (JobState::Dead, 1));
        assert!(error.is_some_and(|error| error.starts_with(&format!("{code} {text}"))));
        assert_eq!(post.ledger(refused).await.as_deref(), Some("rejected"));
        app.advance(Duration::from_secs(3600));
        assert_eq!(run_due(app).await, 0, "it is not tried again");
        let (next, other) =
            (enqueue_one(app, &letter("Gone@Example.com")).await, enqueue_one(app, &letter("b@example.com")).await);
        run_due(app).await;
        assert_eq!(job(app, next).await, (JobState::Dead, 1, Some("recipient suppressed".into())));
        assert_eq!(post.ledger(next).await.as_deref(), Some("suppressed"));
        assert_eq!(job(app, other).await.0, JobState::Done);
        assert_eq!((post.server.messages().len(), post.server.transactions_seen()), (1, 2));
        app.advance(Duration::from_secs(23 * 3600));
        let after = enqueue_one(app, &letter("gone@example.com")).await;
        run_due(app).await;
        assert_eq!(job(app, after).await.0, JobState::Done, "a day later");
    }
}

/// J07, T-SMTP-02: while the address of a user is left alone, a login is refused with a clear error, and never granted; a day
/// later it works.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_refused_while_its_mail_could_not_be_sent() {
    let post = Post::start().await;
    let (app, email) = (&post.app, "full@example.com");
    post.sign_up(email).await;
    let browser = app.browser();
    post.server.script(vec![Fault::reply(Stage::RcptTo, 550, "5.2.1 disabled")]);
    post.begin_login(&browser, email, harness::PASSWORD).await;
    run_due(app).await;
    assert_eq!(post.count("email_mfa.send_login_code", JobState::Dead).await, 1);
    let body = serde_json::json!({ "email": email, "password": harness::PASSWORD });
    for _ in 0..2 {
        let refused = browser.post("/api/login", body.clone()).await;
        refused.expect_problem(503, "email_not_available");
        assert!(refused.set_cookie("gatepost_session").is_none());
    }
    let wrong = serde_json::json!({ "email": email, "password": "not the password at all" });
    browser.post("/api/login", wrong).await.expect_problem(401, "invalid_credentials");
    assert_eq!(run_due(app).await, 0);
    app.advance(Duration::from_secs(24 * 3600 + 1));
    let pending = post.begin_login(&browser, email, harness::PASSWORD).await;
    run_due(app).await;
    post.finish_login(&browser, email, &pending).await;
}

/// T-SMTP-02: a retry by an administrator is not held up by the refusal that it is to repair.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_mail_is_sent_by_a_retry() {
    let post = Post::start().await;
    let app = &post.app;
    post.server.script(vec![Fault::reply(Stage::RcptTo, 550, "5.1.1 no such user")]);
    let id = enqueue_one(app, &letter("back@example.com")).await;
    run_due(app).await;
    assert!(operate::retry(app.kernel.db.writer(), id, app.kernel.clock.now()).await.unwrap());
    run_due(app).await;
    assert_eq!(job(app, id).await, (JobState::Done, 1, None));
    assert_eq!(post.ledger(id).await.as_deref(), Some("handed_over"));
}

/// T-SMTP-04: the connection breaks after the final dot: the mail is sent again, and both copies are the same byte for byte,
/// so that the code of either works.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_copy_is_the_first_one_byte_for_byte() {
    let post = Post::start().await;
    let (app, email) = (&post.app, "twice@example.com");
    post.sign_up(email).await;
    post.server.clear();
    post.server.script(vec![Fault::DropAfterData]);
    let browser = app.browser();
    let pending = post.begin_login(&browser, email, harness::PASSWORD).await;
    let id = post.job_id("email_mfa.send_login_code").await;
    run_due(app).await;
    assert_eq!(job(app, id).await.0, JobState::Retrying);
    assert_eq!(post.ledger(id).await.as_deref(), Some("unknown"));
    app.advance(Duration::from_secs(61));
    assert_eq!(post.settle(id).await, 1);
    assert_eq!(job(app, id).await, (JobState::Done, 2, None));
    let copies = post.server.messages_to(email);
    assert_eq!(copies.len(), 2);
    assert_eq!(identity(&copies[0]), identity(&copies[1]));
    assert_eq!(copies[0].raw, copies[1].raw);
    let message_id = copies[0].header("Message-ID").unwrap();
    assert!(message_id.contains(&id.to_string()) || message_id.contains(&id.0.simple().to_string()), "{message_id}");
    assert!(copies[0].header("Content-Type").unwrap().contains("boundary="));
    assert_eq!(harness::code_in(&copies[0].text().unwrap()).len(), 6);
    post.finish_login(&browser, email, &pending).await;
}
