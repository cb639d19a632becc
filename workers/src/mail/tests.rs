//! What becomes of a mail and its job, on a real database and a relay that says what it is told.

use std::time::Duration;

use minijinja::context;
use shared::{jobs::JobId, lifecycle::CancellationToken};

use super::*;
use crate::{
    attempt,
    context::{Context, MAIL_COMPONENT},
    registry::{JobError, Registry},
    testing::{Bench, Letter},
};

/// Number 0: the cause went away. The rest: a mail to that number's address.
async fn letter(_: &Context, job: Letter) -> Result<Option<Mail>, JobError> {
    let to = format!("reader-{}@example.com", job.number);
    let context = context! { link => "http://localhost/x", expires_hours => 24, providers => "" };
    Ok((job.number > 0).then(|| Mail::new("recovery/reset_link", &to, context)))
}

async fn once(bench: &Bench, id: JobId) -> &'static str {
    let mut registry = Registry::new();
    registry.mail(letter).unwrap();
    attempt::run(&bench.context, &registry, id, &CancellationToken::new()).await.unwrap().unwrap()
}

async fn entry(bench: &Bench) -> String {
    let sql = "SELECT state || ' ' || COALESCE(provider_reply, '-') FROM mail_deliveries ORDER BY job_id DESC LIMIT 1";
    bench.text(sql).await.unwrap_or_default()
}

#[tokio::test]
async fn a_mail_is_handed_over_and_its_job_done() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Letter { number: 1 }).await;
    assert_eq!(once(&bench, id).await, "done");
    assert_eq!(entry(&bench).await, "handed_over 250 ok");
    let sent = bench.transport.sent();
    assert_eq!((sent.len(), sent[0].to.as_str()), (1, "reader-1@example.com"));
    let kept = "SELECT CAST(LENGTH(recipient_hash) AS TEXT) FROM mail_deliveries";
    assert_eq!(bench.text(kept).await.as_deref(), Some("32"), "a digest, no address");
}

#[tokio::test]
async fn a_mail_whose_cause_went_away_is_cancelled() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Letter { number: 0 }).await;
    assert_eq!(once(&bench, id).await, "cancelled");
    assert!(bench.transport.sent().is_empty() && entry(&bench).await.is_empty());
}

#[tokio::test]
async fn a_second_copy_is_byte_for_byte_the_first() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Letter { number: 1 }).await;
    bench.transport.answer(SendError::Unknown("hung up".into()));
    assert_eq!(once(&bench, id).await, "retrying");
    assert_eq!(entry(&bench).await, "unknown hung up");
    bench.clock.advance(Duration::from_secs(5));
    assert_eq!(once(&bench, id).await, "done");
    let sent = bench.transport.sent();
    assert_eq!(sent[0].bytes(), sent[1].bytes());
    assert_eq!(entry(&bench).await, "handed_over 250 ok");
}

#[tokio::test]
async fn a_transient_failure_is_tried_again_and_dead_in_the_end() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Letter { number: 1 }).await;
    for (ended, expected) in [("retrying", "sending 451 later"), ("dead", "dead 451 later")] {
        bench.transport.answer(SendError::Transient("451 later".into()));
        assert_eq!(once(&bench, id).await, ended);
        assert_eq!(entry(&bench).await, expected);
        bench.clock.advance(Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_recipient_that_was_refused_gets_nothing_for_a_day() {
    let bench = Bench::new().await;
    let refused = bench.enqueue(&Letter { number: 1 }).await;
    bench.transport.answer(SendError::Rejected("550 no such user".into()));
    assert_eq!(once(&bench, refused).await, "dead");
    assert_eq!(bench.job(refused).await, ("dead", 1, Some("550 no such user".into())));
    assert_eq!(entry(&bench).await, "rejected 550 no such user");

    let next = bench.enqueue(&Letter { number: 1 }).await;
    assert_eq!(once(&bench, next).await, "dead");
    assert_eq!(bench.job(next).await.2.as_deref(), Some("recipient suppressed"));
    let other = bench.enqueue(&Letter { number: 2 }).await;
    assert_eq!(once(&bench, other).await, "done");
    assert_eq!(bench.transport.sent().len(), 2, "the relay did not hear of the suppressed one");

    bench.clock.advance(Duration::from_secs(24 * 3600 + 1));
    let tomorrow = bench.enqueue(&Letter { number: 1 }).await;
    assert_eq!(once(&bench, tomorrow).await, "done");
}

#[tokio::test]
async fn an_operator_who_retries_a_refused_mail_is_heard() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Letter { number: 1 }).await;
    bench.transport.answer(SendError::Rejected("550 no such user".into()));
    assert_eq!(once(&bench, id).await, "dead");
    let tx = bench.context.kernel.db.write_tx().await.unwrap();
    assert!(shared::jobs::operate::retry(&*tx, id, bench.context.kernel.clock.now()).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(once(&bench, id).await, "done");
}

#[tokio::test]
async fn trouble_with_the_relay_burns_no_attempt_and_pauses_the_queue() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Letter { number: 1 }).await;
    for _ in 0..5 {
        bench.transport.answer(SendError::Configuration("535 no".into()));
        assert_eq!(once(&bench, id).await, "released");
        assert_eq!(bench.job(id).await, ("queued", 0, Some("535 no".into())));
        assert!(bench.context.mailer.breaker().is_open() && !bench.context.readiness.is_ready());
        bench.clock.advance(Duration::from_secs(31));
    }
    assert_eq!(once(&bench, id).await, "done");
    assert!(!bench.context.mailer.breaker().is_open());
    assert_eq!(bench.context.readiness.components().get(MAIL_COMPONENT), Some(&Ok(())));
}

#[tokio::test]
async fn mails_beyond_the_recipients_budget_are_not_sent() {
    let bench = Bench::with(|config| config.mail.per_recipient.count = 2).await;
    let mut ended = Vec::new();
    for _ in 0..3 {
        let id = bench.enqueue(&Letter { number: 1 }).await;
        ended.push(once(&bench, id).await);
    }
    assert_eq!(ended, ["done", "done", "cancelled"]);
    assert_eq!(entry(&bench).await, "suppressed the recipient got too many mails");
    assert_eq!(bench.transport.sent().len(), 2);
}

#[tokio::test]
async fn a_failing_mail_is_counted_once() {
    let bench = Bench::with(|config| config.mail.per_recipient.count = 1).await;
    let id = bench.enqueue(&Letter { number: 1 }).await;
    bench.transport.answer(SendError::Transient("451 later".into()));
    assert_eq!(once(&bench, id).await, "retrying");
    bench.clock.advance(Duration::from_secs(5));
    assert_eq!(once(&bench, id).await, "done");
}

#[tokio::test]
async fn the_sweep_follows_ended_jobs_and_deletes_what_is_old() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&Letter { number: 1 }).await;
    bench.transport.answer(SendError::Transient("451 later".into()));
    assert_eq!(once(&bench, id).await, "retrying");
    let now = bench.context.kernel.clock.now();
    bench.execute(&format!("UPDATE jobs SET state = 'expired', finished_at = {}", now.0)).await;
    let tx = bench.context.kernel.db.write_tx().await.unwrap();
    ledger::follow(&tx, now - Duration::from_secs(60)).await.unwrap();
    assert_eq!(ledger::sweep(&tx, now - Duration::from_secs(60), 9).await.unwrap(), 0);
    tx.commit().await.unwrap();
    assert_eq!(entry(&bench).await, "expired 451 later");
    let tx = bench.context.kernel.db.write_tx().await.unwrap();
    assert_eq!(ledger::sweep(&tx, now + Duration::from_secs(60), 9).await.unwrap(), 1);
    tx.commit().await.unwrap();
}
