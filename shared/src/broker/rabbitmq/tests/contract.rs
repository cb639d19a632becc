//! What RabbitMQ promises when nothing is hurt: the conformance suite, the topology, dead letters, start-up.

use super::*;
use crate::broker::conformance::{Outcome, run_all};

fn assert_all_passed(outcomes: &[(&str, Outcome)]) {
    let failed: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_conforms() {
    let Some(rig) = Rig::start().await else { return };
    assert_all_passed(&run_all(&rig).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_conforms_when_it_is_killed_in_mid_batch() {
    let Some(_node) = node::Node::start().await else { return };
    let rig = Rig::on(node::URL, Some(node::NAME)).await;
    assert_all_passed(&run_all(&rig).await);
}

#[tokio::test]
async fn another_delivery_limit_is_a_mismatch_that_names_the_queue() {
    let Some(rig) = Rig::start().await else { return };
    let config = BrokerConfig { delivery_limit: 7, ..rig.config.clone() };
    let refused = RabbitMq::connect(&config).await.err().unwrap();
    assert!(matches!(&refused, BrokerError::Topology(reason) if reason.contains("queue gatepost.mail exists")));
    assert!(refused.to_string().contains("x-delivery-limit"), "{refused}");
}

#[tokio::test]
async fn prefixes_keep_installations_in_one_virtual_host_apart() {
    let Some(rig) = Rig::start().await else { return };
    let config = |prefix: &str| BrokerConfig { prefix: prefix.to_owned(), delivery_limit: 7, ..rig.config.clone() };
    let other = RabbitMq::connect(&config("other")).await.unwrap();
    let (ours, theirs) = (dispatch(Queue::Mail), dispatch(Queue::Mail));
    assert!(rig.broker.publish(std::slice::from_ref(&ours)).await[0].is_ok());
    assert!(other.publish(std::slice::from_ref(&theirs)).await[0].is_ok());
    for (broker, expected) in [(&rig.broker, ours), (&other, theirs)] {
        let mut consumer = broker.consume(Queue::Mail, 4).await.unwrap();
        let delivery = consumer.next().await.unwrap();
        assert_eq!(delivery.dispatch(), Some(&expected));
        delivery.ack().await;
    }
    for refused in ["", "amq.gatepost", &"p".repeat(300)] {
        assert!(matches!(RabbitMq::connect(&config(refused)).await.err(), Some(BrokerError::Topology(_))));
    }
}

#[tokio::test]
async fn a_message_delivered_too_often_ends_in_the_dead_letters() {
    let Some(rig) = Rig::start().await else { return };
    rig.broker.close().await;
    rig.ctl(&["delete_vhost", &rig.vhost]).await;
    add_vhost(rig.node, &rig.vhost).await;
    let broker = RabbitMq::connect(&BrokerConfig { delivery_limit: 2, ..rig.config.clone() }).await.unwrap();
    let message = dispatch(Queue::Notify);
    assert!(broker.publish(std::slice::from_ref(&message)).await[0].is_ok());
    let mut consumer = broker.consume(Queue::Notify, 4).await.unwrap();
    for _ in 0..3 {
        receive(consumer.as_mut(), message.job_id).await.requeue().await;
    }
    let dead = tokio::time::timeout(Duration::from_secs(20), broker.next_dead_letter()).await.unwrap().unwrap();
    assert_eq!(dead.dispatch(), Some(&message));
    // Without an acknowledgement it is not lost, also when the reader dies.
    drop(dead);
    broker.close().await;
    assert!(broker.next_dead_letter().await.is_none());
    assert!(broker.consume(Queue::Mail, 1).await.is_err());
    let dead = tokio::time::timeout(Duration::from_secs(20), rig_dead_letter(&rig)).await.unwrap();
    assert_eq!(dead, message.job_id);
}

async fn rig_dead_letter(rig: &Rig) -> JobId {
    let broker = RabbitMq::connect(&BrokerConfig { delivery_limit: 2, ..rig.config.clone() }).await.unwrap();
    let dead = broker.next_dead_letter().await.unwrap();
    let id = dead.dispatch().unwrap().job_id;
    dead.ack().await;
    id
}

#[tokio::test]
async fn an_interrupted_wait_for_a_dead_letter_loses_nothing() {
    let Some(rig) = Rig::start().await else { return };
    let live = rig.broker.consuming().settled().await.unwrap();
    let channel = live.connection.create_channel().await.unwrap();
    let body = serde_json::to_vec(&dispatch(Queue::Mail)).unwrap();
    let options = lapin::options::BasicPublishOptions::default();
    for key in ["mail", "sweep"] {
        let published = channel.basic_publish(
            rig.broker.plan.topology.dead(),
            key.into(),
            options,
            &body,
            BasicProperties::default(),
        );
        published.await.unwrap().await.unwrap();
    }
    let mut keys = Vec::new();
    while keys.len() < 2 {
        let waiting = tokio::time::timeout(Duration::from_micros(200), rig.broker.next_dead_letter());
        let Ok(taken) = waiting.await else { continue };
        let delivery = taken.unwrap();
        keys.push(delivery.dispatch().unwrap().queue.unwrap());
        delivery.ack().await;
    }
    keys.sort();
    assert_eq!(keys, [Queue::Mail, Queue::Sweep]);
}

#[tokio::test]
async fn batches_are_fast_and_answered_in_order() {
    let Some(rig) = Rig::start().await else { return };
    let mut batch: Vec<_> = std::iter::repeat_with(|| dispatch(Queue::Identify)).take(2000).collect();
    for lost in batch.iter_mut().step_by(3) {
        lost.queue = None;
    }
    let started = Instant::now();
    let outcomes = rig.broker.publish(&batch).await;
    println!("2000 messages, 1333 of them stored, in {:?}", started.elapsed());
    for (message, outcome) in batch.iter().zip(&outcomes) {
        assert_eq!(message.queue.is_some(), outcome.is_ok(), "{outcome:?}");
    }
    assert_eq!(outcomes.len(), 2000);
}

#[tokio::test]
async fn a_returned_message_is_never_taken_for_a_delivered_one() {
    let Some(rig) = Rig::start().await else { return };
    let publishing = (0..600).map(|index| {
        let publisher = &rig.broker.publisher;
        async move {
            let key = if index % 2 == 0 { "mail" } else { "nowhere" };
            (key, publisher.send(key, b"{}", BasicProperties::default()).await)
        }
    });
    for (key, outcome) in futures_util::future::join_all(publishing).await {
        match key {
            "mail" => assert!(outcome.is_ok(), "{outcome:?}"),
            _ => assert!(matches!(outcome, Err(BrokerError::Unroutable)), "{outcome:?}"),
        }
    }
}
