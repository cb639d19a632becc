//! What happens when RabbitMQ, its objects or the way to it are hurt.

use lapin::options::BasicAckOptions;

use super::{
    proxy::{Mode, Proxy},
    *,
};

/// A consumer of the mail queue that is registered.
async fn consumer(broker: &RabbitMq) -> Box<dyn Consumer> {
    let consumer = broker.consume(Queue::Mail, 4).await.unwrap();
    assert_eq!(consumer.is_registered(), Ok(()));
    consumer
}

/// Both ways work: a message is published and arrives.
async fn works(rig: &Rig, consumer: &mut dyn Consumer) {
    let id = rig.publish_in_the_end().await;
    receive(consumer, id).await.ack().await;
    until("registered", || consumer.is_registered().is_ok()).await;
    let started = Instant::now();
    while let Err(error) = rig.broker.check().await {
        assert!(started.elapsed() < Duration::from_secs(30), "{error}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_channel_that_rabbitmq_closes_is_replaced() {
    let Some(rig) = Rig::start().await else { return };
    let link = rig.broker.consuming();
    let mut consumer = RabbitConsumer::start(link, rig.broker.plan.topology.queue(Queue::Mail), 4);
    consumer.settled().await.unwrap();
    let sent = rig.publish().await.unwrap();
    let held = receive(&mut consumer, sent).await;
    let id = rig.publish().await.unwrap();
    let delivery = consumer.inbox.take().await.unwrap();
    // 406 PRECONDITION_FAILED, as after a delivery that was left unanswered for too long.
    delivery.channel.basic_ack(4711, BasicAckOptions::default()).await.unwrap();
    until("unregistered", || !delivery.channel.status().connected()).await;
    Box::new(delivery).ack().await;
    held.ack().await;
    // Neither answer counted, so both come again.
    receive(&mut consumer, sent).await.ack().await;
    receive(&mut consumer, id).await.ack().await;
    works(&rig, &mut consumer).await;
}

#[tokio::test]
async fn a_deleted_exchange_and_dead_letter_queue_come_back() {
    let Some(rig) = Rig::start().await else { return };
    let mut consumer = consumer(&rig.broker).await;
    let live = rig.broker.consuming().live().unwrap();
    let channel = live.connection.create_channel().await.unwrap();
    channel
        .exchange_delete(rig.broker.plan.topology.jobs(), lapin::options::ExchangeDeleteOptions::default())
        .await
        .unwrap();
    rig.ctl(&["delete_queue", "-p", &rig.vhost, "gatepost.dead"]).await;
    assert!(matches!(rig.publish().await, Err(BrokerError::Unroutable)));
    works(&rig, consumer.as_mut()).await;
    rig.ctl(&["purge_queue", "-p", &rig.vhost, "gatepost.dead"]).await;
}

#[tokio::test]
async fn a_virtual_host_that_is_deleted_and_made_again_is_used_again() {
    let Some(rig) = Rig::start().await else { return };
    let mut consumer = consumer(&rig.broker).await;
    works(&rig, consumer.as_mut()).await;
    rig.ctl(&["delete_vhost", &rig.vhost]).await;
    until("noticed", || consumer.is_registered().is_err()).await;
    let started = Instant::now();
    assert!(matches!(rig.publish().await, Err(BrokerError::Unreachable(_))));
    assert!(started.elapsed() < Duration::from_millis(500), "it took {:?}", started.elapsed());
    assert!(rig.broker.check().await.is_err());
    add_vhost(rig.node, &rig.vhost).await;
    works(&rig, consumer.as_mut()).await;
}

#[tokio::test]
async fn connections_that_an_admin_closes_are_opened_again() {
    let Some(rig) = Rig::start().await else { return };
    let mut consumer = consumer(&rig.broker).await;
    for _ in 0..3 {
        rig.sever().await;
        works(&rig, consumer.as_mut()).await;
    }
}

/// A rig whose broker goes through a relay.
async fn behind_proxy(mode: Mode) -> Option<(Rig, Proxy)> {
    let mut rig = Rig::start().await?;
    let target = url::Url::parse(&url()?).unwrap();
    let target = format!("{}:{}", target.host_str().unwrap(), target.port().unwrap_or(5672));
    let proxy = Proxy::start(target, mode).await;
    let through = format!("amqp://guest:guest@{}/{}", proxy.address, rig.vhost);
    let config = BrokerConfig { heartbeat_seconds: 2, timeout_seconds: 10, ..config(&through) };
    rig.broker = RabbitMq::connect(&config).await.unwrap();
    Some((rig, proxy))
}

#[tokio::test]
async fn a_gateway_starts_without_rabbitmq_and_works_once_it_is_there() {
    let Some((rig, proxy)) = behind_proxy(Mode::Refuse).await else { return };
    let started = Instant::now();
    let mut consumer = rig.broker.consume(Queue::Mail, 4).await.unwrap();
    assert!(consumer.is_registered().is_err());
    assert!(started.elapsed() < Duration::from_secs(11));
    let started = Instant::now();
    assert!(matches!(rig.publish().await, Err(BrokerError::Unreachable(_))));
    assert!(matches!(rig.broker.check().await, Err(BrokerError::Unreachable(_))));
    assert!(started.elapsed() < Duration::from_millis(100));
    proxy.set(Mode::Pass);
    works(&rig, consumer.as_mut()).await;
}

#[tokio::test]
async fn a_black_hole_is_noticed_by_the_heartbeat() {
    let Some((rig, proxy)) = behind_proxy(Mode::Pass).await else { return };
    let mut consumer = consumer(&rig.broker).await;
    works(&rig, consumer.as_mut()).await;
    proxy.set(Mode::Stall);
    let started = Instant::now();
    // The time limit is 10 s: it is the heartbeat that ends this publish.
    let outcome = rig.publish().await;
    assert!(matches!(outcome, Err(BrokerError::Unreachable(_))), "{outcome:?}");
    until("unregistered", || consumer.is_registered().is_err()).await;
    assert!(started.elapsed() < Duration::from_secs(6), "noticed after {:?}", started.elapsed());
    let started = Instant::now();
    assert!(rig.publish().await.is_err());
    assert!(started.elapsed() < Duration::from_millis(500));
    proxy.set(Mode::Pass);
    works(&rig, consumer.as_mut()).await;
}

#[tokio::test]
async fn closing_through_a_black_hole_ends() {
    let Some((rig, proxy)) = behind_proxy(Mode::Pass).await else { return };
    let mut consumer = consumer(&rig.broker).await;
    proxy.set(Mode::Stall);
    let started = Instant::now();
    consumer.close().await;
    rig.broker.close().await;
    assert!(consumer.next().await.is_none());
    assert!(started.elapsed() < Duration::from_secs(15), "closed after {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_memory_alarm_publishing_ends_in_time_and_acknowledging_goes_on() {
    let Some(_node) = node::Node::start().await else { return };
    let rig = Rig::on(node::URL, Some(node::NAME)).await;
    let mut consumer = consumer(&rig.broker).await;
    let before = rig.publish().await.unwrap();
    let held = receive(consumer.as_mut(), before).await;
    rig.ctl(&["set_vm_memory_high_watermark", "0"]).await;
    let batch: Vec<_> = std::iter::repeat_with(|| dispatch(Queue::Mail)).take(200).collect();
    let started = Instant::now();
    let outcomes = rig.broker.publish(&batch).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(BrokerError::Timeout))), "{outcomes:?}");
    assert!(started.elapsed() < Duration::from_secs(4), "the batch took {:?}", started.elapsed());
    let started = Instant::now();
    assert!(matches!(rig.publish().await, Err(BrokerError::Timeout)));
    assert!(rig.broker.check().await.is_err());
    assert!(started.elapsed() < Duration::from_millis(100), "known to be blocked, yet {:?}", started.elapsed());
    held.ack().await;
    assert_eq!(consumer.is_registered(), Ok(()));
    rig.ctl(&["set_vm_memory_high_watermark", "0.4"]).await;
    works(&rig, consumer.as_mut()).await;
}

/// RabbitMQ 3.10 tells a consumer nothing when its quorum queue is deleted and declared again at once.
#[tokio::test]
async fn consumers_that_rabbitmq_forgot_are_registered_again() {
    let Some(rig) = Rig::start().await else { return };
    let mut first = consumer(&rig.broker).await;
    works(&rig, first.as_mut()).await;
    let mut second = consumer(&rig.broker).await;
    let live = rig.broker.consuming().live().unwrap();
    let channel = live.connection.create_channel().await.unwrap();
    for _ in 0..3 {
        let options = lapin::options::QueueDeleteOptions::default();
        channel.queue_delete(rig.broker.plan.topology.queue(Queue::Mail), options).await.unwrap();
        rig.broker.plan.topology.declare(&live.connection).await.unwrap();
    }
    // One consumer has no room for all of these, so both have to come back.
    let sent: Vec<_> = std::iter::repeat_with(|| dispatch(Queue::Mail)).take(8).collect();
    assert!(rig.broker.publish(&sent).await.iter().all(Result::is_ok));
    let mut held = Vec::new();
    for consumer in [&mut first, &mut second] {
        for _ in 0..4 {
            let taken = tokio::time::timeout(Duration::from_mins(1), consumer.next()).await;
            held.push(taken.expect("a consumer was forgotten").unwrap());
        }
    }
    let ids: std::collections::BTreeSet<_> = held.iter().map(|held| held.dispatch().unwrap().job_id).collect();
    assert_eq!(ids.len(), 8, "a message was given out twice");
    for delivery in held {
        delivery.ack().await;
    }
    second.close().await;
    works(&rig, first.as_mut()).await;
}
