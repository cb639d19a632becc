//! The client of a request: what is recorded about it and what rate limits are keyed by.

use std::net::{IpAddr, Ipv6Addr};

use uuid::Uuid;

/// The other end of a request.
#[derive(Clone, Debug)]
pub struct Client {
    /// Address of the client, through trusted proxies only.
    pub ip: IpAddr,
    /// `User-Agent` header, cut to 512 characters.
    pub user_agent: Option<String>,
    /// Id of the request, also in the log and in problems.
    pub request_id: Uuid,
    /// W3C trace context of the request, handed on to the jobs it causes.
    pub traceparent: Option<String>,
}

impl Client {
    /// The network that limits are keyed by: the IPv4 address itself, or the /64 of an IPv6 address.
    #[must_use]
    pub fn network(&self) -> String {
        match self.ip.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let prefix = address.to_bits() & !u128::from(u64::MAX);
                format!("{}/64", Ipv6Addr::from_bits(prefix))
            }
        }
    }
}
