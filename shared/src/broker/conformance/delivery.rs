//! Cases about single messages: answered, not answered, repeated, unreadable.
//!
//! ```text
//! publish ──► take ──► ack → gone        requeue, death of the consumer → delivered again
//! ```

use super::{
    Capability, Fixture, Outcome,
    steps::{consumer, done, ensure, ids, messages, none_comes, publish, take, take_all, within},
};
use crate::jobs::Queue;

/// Published, taken, acknowledged: no later consumer sees it.
pub(super) async fn ack_removes(fixture: &dyn Fixture) -> Outcome {
    let sent = messages(Queue::Mail, 1);
    publish(fixture, &sent).await?;
    let mut first = consumer(fixture, Queue::Mail, 4).await?;
    take(fixture, first.as_mut(), &ids(&sent)).await?.1.ack().await;
    first.close().await;
    drop(first);
    let mut second = consumer(fixture, Queue::Mail, 4).await?;
    none_comes(fixture, second.as_mut(), &ids(&sent)).await
}

/// A message that was given back is delivered again, and acknowledged only once.
pub(super) async fn requeue_redelivers(fixture: &dyn Fixture) -> Outcome {
    let sent = messages(Queue::Mail, 1);
    publish(fixture, &sent).await?;
    let mut consumer = consumer(fixture, Queue::Mail, 4).await?;
    take(fixture, consumer.as_mut(), &ids(&sent)).await?.1.requeue().await;
    take(fixture, consumer.as_mut(), &ids(&sent)).await?.1.ack().await;
    none_comes(fixture, consumer.as_mut(), &ids(&sent)).await
}

/// A consumer that ends without an answer, as in a crash: another one gets all that it held.
pub(super) async fn death_redelivers(fixture: &dyn Fixture) -> Outcome {
    let sent = messages(Queue::Notify, 3);
    publish(fixture, &sent).await?;
    let mut first = consumer(fixture, Queue::Notify, 8).await?;
    let taken = take(fixture, first.as_mut(), &ids(&sent)).await?;
    drop(first);
    drop(taken);
    let mut second = consumer(fixture, Queue::Notify, 8).await?;
    take_all(fixture, second.as_mut(), &ids(&sent)).await
}

/// Bytes that are no dispatch arrive as a delivery without one; acknowledged, they do not stand in the way.
pub(super) async fn poison(fixture: &dyn Fixture) -> Outcome {
    for bytes in [b"\xff\x00 not a dispatch".as_slice(), b"", b"{\"job_id\":7}"] {
        let published = fixture.publish_raw(Queue::Sweep, bytes).await;
        if !done(fixture, Capability::RawBytes, published)? {
            return Ok(());
        }
    }
    let mut consumer = consumer(fixture, Queue::Sweep, 1).await?;
    let mut poison = 0;
    while poison < 3 {
        let next = within(fixture, "waiting for the poison", consumer.next()).await?;
        let delivery = next.ok_or("the consumer ended instead of giving the poison")?;
        poison += usize::from(delivery.dispatch().is_none());
        delivery.ack().await;
    }
    let sent = messages(Queue::Sweep, 1);
    publish(fixture, &sent).await?;
    take_all(fixture, consumer.as_mut(), &ids(&sent)).await
}

/// Two publishes of one job are two deliveries: the broker does not deduplicate, the claim in the table does.
pub(super) async fn duplicates(fixture: &dyn Fixture) -> Outcome {
    let sent = messages(Queue::Mail, 1);
    publish(fixture, &sent).await?;
    publish(fixture, &sent).await?;
    let mut consumer = consumer(fixture, Queue::Mail, 4).await?;
    for _ in 0..2 {
        take(fixture, consumer.as_mut(), &ids(&sent)).await?.1.ack().await;
    }
    none_comes(fixture, consumer.as_mut(), &ids(&sent)).await
}

/// What was published is what arrives, with its queue and its trace.
pub(super) async fn content(fixture: &dyn Fixture) -> Outcome {
    let mut sent = messages(Queue::Identify, 2);
    for (attempt, message) in (3..).zip(&mut sent) {
        message.attempt = attempt;
        message.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    }
    // Longer than AMQP's short strings.
    if let Some(message) = sent.last_mut() {
        message.name = "conformance.".to_owned() + &"n".repeat(300);
    }
    publish(fixture, &sent).await?;
    let mut consumer = consumer(fixture, Queue::Identify, 4).await?;
    for _ in 0..2 {
        let (_, delivery) = take(fixture, consumer.as_mut(), &ids(&sent)).await?;
        let same = delivery.dispatch().is_some_and(|dispatch| sent.contains(dispatch));
        delivery.ack().await;
        ensure(same, "a message arrived with other content than it was published with")?;
    }
    Ok(())
}
