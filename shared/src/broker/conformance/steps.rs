//! The steps that cases consist of. Each fails with a sentence.
//!
//! ```text
//! message ──► publish ──► take (passes over what earlier cases left) ──► ack
//! ```
//!
//! Whatever waits here has a bound, so a broker that hangs fails its case instead of stopping the run.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{Consumer, Delivery, Dispatch},
    Capability, Fixture, Outcome,
};
use crate::jobs::{JobId, Queue};

/// Pause between attempts at something that has to succeed in the end.
const PAUSE: Duration = Duration::from_millis(50);

/// Messages for a queue, each with an id of its own.
pub(super) fn messages(queue: Queue, count: usize) -> Vec<Dispatch> {
    let message = || Dispatch {
        job_id: JobId::next(),
        name: "conformance.check_broker".to_owned(),
        version: 1,
        attempt: 0,
        queue: Some(queue),
        traceparent: None,
    };
    std::iter::repeat_with(message).take(count).collect()
}

/// Their ids.
pub(super) fn ids(messages: &[Dispatch]) -> Vec<JobId> {
    messages.iter().map(|message| message.job_id).collect()
}

/// Fails with the sentence unless the fact holds.
pub(super) fn ensure(fact: bool, otherwise: &str) -> Outcome {
    if fact { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// Waits as long as the fixture has patience.
pub(super) async fn within<F: Future>(fixture: &dyn Fixture, what: &str, future: F) -> Result<F::Output, String> {
    let patience = fixture.patience();
    timeout(patience, future).await.map_err(|_| format!("{what} took longer than {patience:?}"))
}

/// Whether the fixture did what it was told: `Ok(false)` only if it says that it never can.
pub(super) fn done(fixture: &dyn Fixture, capability: Capability, done: bool) -> Result<bool, String> {
    match (done, fixture.incapable().contains(&capability)) {
        (true, false) => Ok(true),
        (false, true) => Ok(false),
        (true, true) => Err(format!("the fixture claims to be incapable of {capability:?} and did it")),
        (false, false) => Err(format!("the fixture failed at {capability:?}")),
    }
}

/// Publishes messages, all of which must be accepted at the first attempt.
pub(super) async fn publish(fixture: &dyn Fixture, messages: &[Dispatch]) -> Outcome {
    let outcomes = within(fixture, "publishing", fixture.broker().publish(messages)).await?;
    ensure(outcomes.len() == messages.len(), "publish gave another number of answers than messages")?;
    for outcome in outcomes {
        outcome.map_err(|error| format!("a message was not accepted: {error}"))?;
    }
    Ok(())
}

/// Publishes messages in batches and again until each was accepted, as the relay does.
pub(super) async fn publish_until_accepted(fixture: &dyn Fixture, messages: &[Dispatch], batch: usize) -> Outcome {
    let started = Instant::now();
    for batch in messages.chunks(batch) {
        let mut rest = batch.to_vec();
        while !rest.is_empty() {
            let outcomes = within(fixture, "publishing", fixture.broker().publish(&rest)).await?;
            let refused = rest.into_iter().zip(outcomes).filter(|(_, outcome)| outcome.is_err());
            rest = refused.map(|(message, _)| message).collect();
            ensure(started.elapsed() < fixture.patience(), "the broker went on refusing messages")?;
            if !rest.is_empty() {
                sleep(PAUSE).await;
            }
        }
    }
    Ok(())
}

/// A consumer that is registered.
pub(super) async fn consumer(fixture: &dyn Fixture, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, String> {
    let consuming = within(fixture, "consuming", fixture.broker().consume(queue, prefetch)).await?;
    let mut consumer = consuming.map_err(|error| format!("consuming failed: {error}"))?;
    registered(fixture, consumer.as_mut()).await.map(|()| consumer)
}

/// Waits until the broker knows the consumer.
pub(super) async fn registered(fixture: &dyn Fixture, consumer: &mut dyn Consumer) -> Outcome {
    let started = Instant::now();
    while let Err(reason) = consumer.is_registered() {
        ensure(started.elapsed() < fixture.patience(), &format!("the consumer is not registered: {reason}"))?;
        sleep(PAUSE).await;
    }
    Ok(())
}

/// The next message of these; others are left-overs of earlier cases and acknowledged.
pub(super) async fn take(
    fixture: &dyn Fixture,
    consumer: &mut dyn Consumer,
    wanted: &[JobId],
) -> Result<(JobId, Box<dyn Delivery>), String> {
    let taking = async {
        while let Some(delivery) = consumer.next().await {
            match delivery.dispatch().map(|dispatch| dispatch.job_id) {
                Some(id) if wanted.contains(&id) => return Ok((id, delivery)),
                Some(_) | None => delivery.ack().await,
            }
        }
        Err("the consumer ended instead of giving a message".to_owned())
    };
    within(fixture, "waiting for a message", taking).await?
}

/// Takes and acknowledges messages until each of these came at least once.
pub(super) async fn take_all(fixture: &dyn Fixture, consumer: &mut dyn Consumer, wanted: &[JobId]) -> Outcome {
    let mut missing = wanted.to_vec();
    while !missing.is_empty() {
        let (id, delivery) = take(fixture, consumer, wanted).await?;
        missing.retain(|one| *one != id);
        delivery.ack().await;
    }
    Ok(())
}

/// Watches that none of these messages comes.
pub(super) async fn none_comes(fixture: &dyn Fixture, consumer: &mut dyn Consumer, unwanted: &[JobId]) -> Outcome {
    match timeout(fixture.quiet(), take(fixture, consumer, unwanted)).await {
        Err(_) => Ok(()),
        Ok(Err(reason)) => Err(reason),
        Ok(Ok((_, delivery))) => {
            delivery.ack().await;
            Err("a message came that should not have".to_owned())
        }
    }
}
