//! Cases about a broker that is hurt while it works: purged, deleted, disconnected, restarted.
//!
//! ```text
//! publish … publish ⚡ publish (again until accepted) … ──► consumer sees every accepted message at least once
//! ```
//!
//! What a purge or a deletion takes away is not the broker's to bring back: the table holds it. The broker has to work
//! again without anyone's help.

use super::{
    super::Consumer,
    Capability, Fixture, Outcome,
    steps::{consumer, done, ids, messages, none_comes, publish, publish_until_accepted, registered, take_all, within},
};
use crate::jobs::Queue;

/// Purged messages are gone; later ones arrive.
pub(super) async fn purged(fixture: &dyn Fixture) -> Outcome {
    let gone = messages(Queue::Notify, 5);
    publish(fixture, &gone).await?;
    let purged = fixture.purge(Queue::Notify).await;
    if !done(fixture, Capability::Purge, purged)? {
        return Ok(());
    }
    let mut consumer = consumer(fixture, Queue::Notify, 8).await?;
    none_comes(fixture, consumer.as_mut(), &ids(&gone)).await?;
    let sent = messages(Queue::Notify, 5);
    publish(fixture, &sent).await?;
    take_all(fixture, consumer.as_mut(), &ids(&sent)).await
}

/// A queue that was deleted under its consumer is there again, and so is the consumer.
pub(super) async fn deleted(fixture: &dyn Fixture) -> Outcome {
    let mut consumer = consumer(fixture, Queue::Sweep, 8).await?;
    let deleted = fixture.delete_queue(Queue::Sweep).await;
    if !done(fixture, Capability::DeleteQueue, deleted)? {
        return Ok(());
    }
    arrives_again(fixture, consumer.as_mut(), Queue::Sweep).await?;
    // Also without a consumer that would notice.
    drop(consumer);
    let deleted = fixture.delete_queue(Queue::Identify).await;
    done(fixture, Capability::DeleteQueue, deleted)?;
    let mut consumer = self::consumer(fixture, Queue::Identify, 8).await?;
    arrives_again(fixture, consumer.as_mut(), Queue::Identify).await
}

async fn arrives_again(fixture: &dyn Fixture, consumer: &mut dyn Consumer, queue: Queue) -> Outcome {
    let sent = messages(queue, 5);
    publish_until_accepted(fixture, &sent, 5).await?;
    take_all(fixture, consumer, &ids(&sent)).await?;
    registered(fixture, consumer).await
}

/// All connections break while messages are published and consumed.
pub(super) async fn severed(fixture: &dyn Fixture) -> Outcome {
    in_mid_batch(fixture, Capability::Sever).await
}

/// The broker dies and comes back while messages are published and consumed.
pub(super) async fn restarted(fixture: &dyn Fixture) -> Outcome {
    in_mid_batch(fixture, Capability::Restart).await
}

async fn in_mid_batch(fixture: &dyn Fixture, capability: Capability) -> Outcome {
    if fixture.incapable().contains(&capability) {
        return Ok(());
    }
    let sent = messages(Queue::Mail, 600);
    let (before, after) = sent.split_at(300);
    let mut consumer = consumer(fixture, Queue::Mail, 8).await?;
    let hurting = async {
        let hurt = match capability {
            Capability::Sever => fixture.sever().await,
            Capability::Restart => fixture.restart().await,
            Capability::RawBytes | Capability::Purge | Capability::DeleteQueue => false,
        };
        done(fixture, capability, hurt)
    };
    let publishing = async {
        publish_until_accepted(fixture, before, 20).await?;
        // The second half begins while the first is being consumed and the broker is hurt.
        let (hurt, published) = tokio::join!(hurting, publish_until_accepted(fixture, after, 20));
        hurt?;
        published
    };
    let wanted = ids(&sent);
    let collecting = take_all(fixture, consumer.as_mut(), &wanted);
    let (published, collected) = within(fixture, "the batch", async { tokio::join!(publishing, collecting) }).await?;
    published.and(collected)?;
    // Both ways work again without anyone's help.
    registered(fixture, consumer.as_mut()).await?;
    let working = async {
        while fixture.broker().check().await.is_err() {
            tokio::time::sleep(fixture.quiet()).await;
        }
    };
    within(fixture, "the broker's recovery", working).await
}
