//! Tests against a real RabbitMQ.
//!
//! ```text
//! TEST_AMQP_URL=amqp://user:password@host:port    every test makes a virtual host of its own with rabbitmqctl
//! TEST_AMQP_NODE=1                                and those that kill or starve a broker start one of their own
//! ```
//!
//! Without the variables the tests of this folder do nothing, so that `cargo test` needs no RabbitMQ; the pipeline sets
//! both.

mod contract;
mod node;
mod outages;
mod proxy;

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use lapin::BasicProperties;
use tokio::time::{Instant, sleep};

use super::{super::conformance::Fixture, *};
use crate::{jobs::JobId, secret::Redacted};

/// The test broker, if there is one.
#[expect(clippy::disallowed_methods, reason = "tests find their broker by the environment")]
fn url() -> Option<String> {
    std::env::var("TEST_AMQP_URL").ok().map(|url| url.trim_end_matches('/').to_owned())
}

/// Runs rabbitmqctl, which must succeed.
async fn ctl(node: Option<&'static str>, arguments: &[&str]) {
    let mut command = ctl_command(node, arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "rabbitmqctl {arguments:?}: {said}");
}

fn ctl_command(node: Option<&'static str>, arguments: &[&str]) -> Command {
    let mut command = Command::new("rabbitmqctl");
    command.arg("-q");
    if let Some(node) = node {
        command.args(["-n", node]);
    }
    command.args(arguments);
    command
}

/// A virtual host of one test, and a broker on it.
struct Rig {
    node: Option<&'static str>,
    vhost: String,
    config: BrokerConfig,
    broker: RabbitMq,
}

impl Rig {
    /// On the broker that the environment names; `None` without one.
    async fn start() -> Option<Self> {
        Some(Self::on(&url()?, None).await)
    }

    async fn on(url: &str, node: Option<&'static str>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let vhost = format!("gatepost-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let config = config(&format!("{url}/{vhost}"));
        add_vhost(node, &vhost).await;
        let broker = RabbitMq::connect(&config).await.unwrap();
        Self { node, vhost, config, broker }
    }

    async fn ctl(&self, arguments: &[&str]) {
        ctl(self.node, arguments).await;
    }

    /// Publishes a fresh message to the mail queue.
    async fn publish(&self) -> Result<JobId, BrokerError> {
        let message = dispatch(Queue::Mail);
        let mut outcomes = self.broker.publish(std::slice::from_ref(&message)).await;
        assert_eq!(outcomes.len(), 1);
        outcomes.pop().unwrap().map(|()| message.job_id)
    }

    /// Publishes until it works again.
    async fn publish_in_the_end(&self) -> JobId {
        let started = Instant::now();
        loop {
            match self.publish().await {
                Ok(id) => return id,
                Err(error) => assert!(started.elapsed() < Duration::from_secs(30), "still failing: {error}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // Best effort: a node that is gone took the virtual host along.
        drop(ctl_command(self.node, &["delete_vhost", &self.vhost]).output());
    }
}

async fn add_vhost(node: Option<&'static str>, vhost: &str) {
    ctl(node, &["add_vhost", vhost]).await;
    ctl(node, &["set_permissions", "-p", vhost, "guest", ".*", ".*", ".*"]).await;
}

fn config(url: &str) -> BrokerConfig {
    BrokerConfig {
        url: Redacted::new(url.to_owned()),
        timeout_seconds: 3,
        heartbeat_seconds: 10,
        prefix: "gatepost".to_owned(),
        delivery_limit: 20,
    }
}

fn dispatch(queue: Queue) -> Dispatch {
    let name = "broker.test_rabbitmq".to_owned();
    Dispatch { job_id: JobId::next(), name, version: 1, attempt: 0, queue: Some(queue), traceparent: None }
}

/// The next delivery of that job, within a bound; others are acknowledged.
async fn receive(consumer: &mut dyn Consumer, id: JobId) -> Box<dyn Delivery> {
    let receiving = async {
        loop {
            let delivery = consumer.next().await.expect("the consumer ended");
            if delivery.dispatch().is_some_and(|dispatch| dispatch.job_id == id) {
                return delivery;
            }
            delivery.ack().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), receiving).await.expect("the message did not come")
}

/// Waits for something that has to become true.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what}: not after 30 s");
        sleep(Duration::from_millis(20)).await;
    }
}

#[async_trait]
impl Fixture for Rig {
    fn broker(&self) -> &dyn Broker {
        &self.broker
    }

    fn incapable(&self) -> &'static [super::super::conformance::Capability] {
        // Killing the shared broker would break other tests; only a node of one's own is killed.
        if self.node.is_some() { &[] } else { &[super::super::conformance::Capability::Restart] }
    }

    async fn publish_raw(&self, queue: Queue, bytes: &[u8]) -> bool {
        self.broker.publisher.send(queue.as_str(), bytes, BasicProperties::default()).await.is_ok()
    }

    async fn purge(&self, queue: Queue) -> bool {
        self.ctl(&["purge_queue", "-p", &self.vhost, self.broker.plan.topology.queue(queue).as_str()]).await;
        true
    }

    async fn delete_queue(&self, queue: Queue) -> bool {
        self.ctl(&["delete_queue", "-p", &self.vhost, self.broker.plan.topology.queue(queue).as_str()]).await;
        true
    }

    async fn sever(&self) -> bool {
        self.ctl(&["close_all_connections", "--vhost", &self.vhost, "test"]).await;
        true
    }

    async fn restart(&self) -> bool {
        match self.node {
            Some(_) => {
                node::kill_and_start().await;
                true
            }
            None => false,
        }
    }
}
