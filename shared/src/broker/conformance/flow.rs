//! Cases about many messages and several consumers: routing, sharing, closing, bounds.
//!
//! ```text
//! publish(batch) ──► answers in the order of the batch
//! queue ──► consumer A (≤ prefetch unanswered)
//!      └──► consumer B (≤ prefetch unanswered)
//! ```

use std::{collections::BTreeSet, time::Duration};

use tokio::time::timeout;

use super::{
    super::{BrokerError, Delivery},
    Fixture, Outcome,
    steps::{consumer, ensure, ids, messages, none_comes, publish, take, take_all, within},
};
use crate::jobs::Queue;

/// A message without a queue is reported at its index; the rest of its batch arrives.
pub(super) async fn unroutable(fixture: &dyn Fixture) -> Outcome {
    let mut sent = messages(Queue::Mail, 20);
    if let Some(lost) = sent.get_mut(7) {
        lost.queue = None;
    }
    let outcomes = within(fixture, "publishing", fixture.broker().publish(&sent)).await?;
    ensure(outcomes.len() == sent.len(), "publish gave another number of answers than messages")?;
    for (index, outcome) in outcomes.iter().enumerate() {
        let right = if index == 7 { matches!(outcome, Err(BrokerError::Unroutable)) } else { outcome.is_ok() };
        ensure(right, &format!("the answer at index {index} was {outcome:?}"))?;
    }
    let arriving: Vec<_> = sent.iter().filter(|message| message.queue.is_some()).cloned().collect();
    let mut consumer = consumer(fixture, Queue::Mail, 8).await?;
    take_all(fixture, consumer.as_mut(), &ids(&arriving)).await
}

/// Two consumers with room for half of the messages each get half each, and no message twice.
pub(super) async fn sharing(fixture: &dyn Fixture) -> Outcome {
    let sent = messages(Queue::Notify, 10);
    let mut first = consumer(fixture, Queue::Notify, 5).await?;
    let mut second = consumer(fixture, Queue::Notify, 5).await?;
    publish(fixture, &sent).await?;
    let mut held: Vec<Box<dyn Delivery>> = Vec::new();
    let mut seen = BTreeSet::new();
    for consumer in [&mut first, &mut second] {
        for _ in 0..5 {
            let (id, delivery) = take(fixture, consumer.as_mut(), &ids(&sent)).await?;
            ensure(seen.insert(id), "a message was given to both consumers")?;
            held.push(delivery);
        }
    }
    for delivery in held {
        delivery.ack().await;
    }
    none_comes(fixture, first.as_mut(), &ids(&sent)).await?;
    none_comes(fixture, second.as_mut(), &ids(&sent)).await
}

/// After closing: no more messages, the taken one can be acknowledged, all others go to the next consumer.
pub(super) async fn closing(fixture: &dyn Fixture) -> Outcome {
    let sent = messages(Queue::Sweep, 4);
    publish(fixture, &sent).await?;
    let mut first = consumer(fixture, Queue::Sweep, 8).await?;
    let (taken, delivery) = take(fixture, first.as_mut(), &ids(&sent)).await?;
    within(fixture, "closing", first.close()).await?;
    ensure(first.is_registered().is_err(), "a closed consumer says that it is registered")?;
    let next = within(fixture, "asking a closed consumer", first.next()).await?;
    ensure(next.is_none(), "a closed consumer gave a message")?;
    delivery.ack().await;
    drop(first);
    let rest: Vec<_> = ids(&sent).into_iter().filter(|id| *id != taken).collect();
    let mut second = consumer(fixture, Queue::Sweep, 8).await?;
    take_all(fixture, second.as_mut(), &rest).await?;
    none_comes(fixture, second.as_mut(), &[taken]).await
}

/// With a prefetch of two the third message comes after the first answer.
pub(super) async fn prefetch(fixture: &dyn Fixture) -> Outcome {
    let sent = messages(Queue::Identify, 5);
    let wanted = ids(&sent);
    let mut consumer = consumer(fixture, Queue::Identify, 2).await?;
    publish(fixture, &sent).await?;
    let (_, first) = take(fixture, consumer.as_mut(), &wanted).await?;
    let (_, second) = take(fixture, consumer.as_mut(), &wanted).await?;
    none_comes(fixture, consumer.as_mut(), &wanted).await?;
    first.ack().await;
    let (_, third) = take(fixture, consumer.as_mut(), &wanted).await?;
    none_comes(fixture, consumer.as_mut(), &wanted).await?;
    second.ack().await;
    third.ack().await;
    for _ in 0..2 {
        take(fixture, consumer.as_mut(), &wanted).await?.1.ack().await;
    }
    none_comes(fixture, consumer.as_mut(), &wanted).await
}

/// Waiting for a message is interrupted again and again, as in a `select!`; every message arrives, and once.
pub(super) async fn interrupted(fixture: &dyn Fixture) -> Outcome {
    let sent = messages(Queue::Mail, 50);
    let mut consumer = consumer(fixture, Queue::Mail, 4).await?;
    let mut missing: BTreeSet<_> = ids(&sent).into_iter().collect();
    let collecting = async {
        while !missing.is_empty() {
            let Ok(next) = timeout(Duration::from_micros(50), consumer.next()).await else { continue };
            let delivery = next.ok_or("the consumer ended instead of giving a message")?;
            let id = delivery.dispatch().map(|dispatch| dispatch.job_id);
            let expected = id.is_none_or(|id| !sent.iter().any(|message| message.job_id == id) || missing.remove(&id));
            delivery.ack().await;
            ensure(expected, "an acknowledged message came again")?;
        }
        Ok(())
    };
    let publishing = async {
        for message in sent.chunks(1) {
            publish(fixture, message).await?;
        }
        Ok(())
    };
    let (collected, published) =
        within(fixture, "collecting the messages", async { tokio::join!(collecting, publishing) }).await?;
    published.and(collected)
}

/// Each queue has its own messages.
pub(super) async fn separation(fixture: &dyn Fixture) -> Outcome {
    let mut consumers = Vec::new();
    let mut sent = Vec::new();
    for queue in Queue::ALL {
        consumers.push((queue, consumer(fixture, queue, 4).await?));
        sent.extend(messages(queue, 2));
    }
    publish(fixture, &sent).await?;
    for (queue, consumer) in &mut consumers {
        let of = |own: bool| -> Vec<_> {
            let chosen = sent.iter().filter(|message| (message.queue == Some(*queue)) == own);
            chosen.map(|message| message.job_id).collect()
        };
        for _ in 0..2 {
            let (id, delivery) = take(fixture, consumer.as_mut(), &ids(&sent)).await?;
            delivery.ack().await;
            ensure(of(true).contains(&id), "a message came out of another queue than its own")?;
        }
        none_comes(fixture, consumer.as_mut(), &of(false)).await?;
    }
    Ok(())
}
