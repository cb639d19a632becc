//! Section `broker` of the configuration.

use serde::Deserialize;

use crate::secret::Redacted;

/// Where the broker is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerConfig {
    /// `memory://`, or `amqp(s)://user:password@host:port/vhost`.
    pub url: Redacted<String>,
    /// How long every single operation on RabbitMQ may take. A publish under a disk alarm never ends by itself.
    pub timeout_seconds: u64,
    /// Heartbeat of the AMQP connection; a dead peer is noticed after twice this time.
    pub heartbeat_seconds: u64,
    /// What exchanges and queues in RabbitMQ begin with; installations that share a vhost differ in it.
    pub prefix: String,
    /// How often RabbitMQ may redeliver one message before it dead-letters it.
    pub delivery_limit: u32,
}
