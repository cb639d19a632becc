//! The contract of brokers, held against every broker there is.

#![expect(clippy::panic, reason = "helpers of tests")]

use std::time::Duration;

use async_trait::async_trait;
use harness::rabbit::{Node, Vhost};
use lapin::{BasicProperties, Connection, ConnectionProperties, options::BasicPublishOptions};
use shared::{
    broker::{
        Broker, BrokerConfig,
        conformance::{CASES, Capability, Fixture, run_all},
        connect,
        memory::MemoryBroker,
    },
    jobs::Queue,
    secret::Redacted,
};

struct Memory(MemoryBroker);

#[async_trait]
impl Fixture for Memory {
    fn broker(&self) -> &dyn Broker {
        &self.0
    }

    fn incapable(&self) -> &'static [Capability] {
        &[Capability::RawBytes, Capability::DeleteQueue, Capability::Sever, Capability::Restart]
    }

    async fn publish_raw(&self, _queue: Queue, _bytes: &[u8]) -> bool {
        false
    }

    async fn purge(&self, queue: Queue) -> bool {
        self.0.purge(queue);
        true
    }

    async fn delete_queue(&self, _queue: Queue) -> bool {
        false
    }

    async fn sever(&self) -> bool {
        false
    }

    async fn restart(&self) -> bool {
        false
    }
}

/// A virtual host of RabbitMQ, and the node that may be killed with it.
struct Rabbit {
    broker: std::sync::Arc<dyn Broker>,
    vhost: Vhost,
    node: Option<Node>,
}

impl Rabbit {
    async fn on(vhost: Vhost, node: Option<Node>) -> Self {
        let config = BrokerConfig {
            url: Redacted::new(vhost.url.clone()),
            timeout_seconds: 3,
            heartbeat_seconds: 10,
            prefix: "gatepost".to_owned(),
            delivery_limit: 20,
        };
        let broker = connect(&config).await.unwrap_or_else(|err| panic!("{err}"));
        Self { broker, vhost, node }
    }
}

#[async_trait]
impl Fixture for Rabbit {
    fn broker(&self) -> &dyn Broker {
        self.broker.as_ref()
    }

    fn incapable(&self) -> &'static [Capability] {
        if self.node.is_some() { &[] } else { &[Capability::Restart] }
    }

    async fn publish_raw(&self, queue: Queue, bytes: &[u8]) -> bool {
        let Ok(connection) = Connection::connect(&self.vhost.url, ConnectionProperties::default()).await else {
            return false;
        };
        let Ok(channel) = connection.create_channel().await else { return false };
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let exchange = "gatepost.jobs".into();
        let sent = channel.basic_publish(exchange, queue.as_str().into(), options, bytes, properties).await.is_ok();
        let closed = connection.close(200, "done".into()).await.is_ok();
        sent && closed
    }

    async fn purge(&self, queue: Queue) -> bool {
        self.vhost.purge(&format!("gatepost.{queue}")).await;
        true
    }

    async fn delete_queue(&self, queue: Queue) -> bool {
        self.vhost.delete_queue(&format!("gatepost.{queue}")).await;
        true
    }

    async fn sever(&self) -> bool {
        self.vhost.sever().await;
        true
    }

    async fn restart(&self) -> bool {
        let Some(node) = &self.node else { return false };
        node.kill().await;
        node.launch().await;
        true
    }
}

async fn assert_conforms(fixture: &dyn Fixture) {
    let outcomes = run_all(fixture).await;
    assert_eq!(outcomes.len(), CASES.len());
    let failed: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Jobs: the in-process broker.
#[tokio::test(flavor = "multi_thread")]
async fn the_in_process_broker_conforms() {
    assert_conforms(&Memory(MemoryBroker::default())).await;
}

/// Jobs: RabbitMQ, in a virtual host of its own; without `TEST_AMQP_URL` there is none.
#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_conforms() {
    let Some(vhost) = Vhost::on_shared().await else { return };
    let rabbit = Rabbit::on(vhost, None).await;
    assert_conforms(&rabbit).await;
    rabbit.broker.close().await;
}

/// T-JOB-03: RabbitMQ that is killed in mid-batch; only with `TEST_AMQP_NODE`.
#[tokio::test(flavor = "multi_thread")]
async fn full_rabbitmq_conforms_when_it_is_killed() {
    if !crate::faults::full() {
        return;
    }
    let Some(node) = Node::start().await else { return };
    let vhost = node.vhost().await;
    let rabbit = Rabbit::on(vhost, Some(node)).await;
    assert_conforms(&rabbit).await;
    rabbit.broker.close().await;
}

/// T-JOB-11: objects that were declared otherwise are a clear error, not a silent loss; RabbitMQ that is away is no error.
#[tokio::test(flavor = "multi_thread")]
async fn a_mismatch_is_told_and_an_absence_is_waited_for() {
    let absent = BrokerConfig {
        url: Redacted::new(format!("amqp://guest:guest@127.0.0.1:{}/x", harness::free_port())),
        timeout_seconds: 1,
        heartbeat_seconds: 10,
        prefix: "gatepost".to_owned(),
        delivery_limit: 20,
    };
    let broker = connect(&absent).await.unwrap();
    assert!(broker.check().await.is_err());
    assert!(tokio::time::timeout(Duration::from_secs(5), broker.close()).await.is_ok());
    let Some(vhost) = Vhost::on_shared().await else { return };
    let rabbit = Rabbit::on(vhost, None).await;
    let other = BrokerConfig { url: Redacted::new(rabbit.vhost.url.clone()), delivery_limit: 7, ..absent };
    let refused = connect(&other).await.err().unwrap().to_string();
    assert!(refused.contains("gatepost.mail") && refused.contains("x-delivery-limit"), "{refused}");
    rabbit.broker.close().await;
}
