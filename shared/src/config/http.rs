//! Section `http` of the configuration.

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::Deserialize;
use url::Url;

/// The gateway's listener and its limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// Where people reach this installation.
    pub public_url: Url,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Largest body, in bytes.
    pub body_limit_bytes: usize,
    /// Largest URL, in bytes.
    pub url_limit_bytes: usize,
    /// Largest sum of all header names and values, in bytes.
    pub header_limit_bytes: usize,
    /// How long a request may take.
    pub request_timeout_seconds: u64,
    /// How long a connection may stay idle or take to send its headers.
    pub idle_timeout_seconds: u64,
    /// Connections open at once.
    pub max_connections: usize,
    /// How long after SIGTERM connections are still taken, while `/health/ready` says no.
    pub drain_seconds: u64,
    /// How long requests in flight may finish after that.
    pub grace_seconds: u64,
}

impl HttpConfig {
    /// The origin of [`HttpConfig::public_url`] (RFC 6454), as browsers send it.
    #[must_use]
    pub fn origin(&self) -> String {
        self.public_url.origin().ascii_serialization()
    }

    /// Whether people reach this installation by TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.public_url.scheme() == "https"
    }
}
