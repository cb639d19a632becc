//! Requests to servers whose addresses come from the configuration or from other servers: bounded, and to public hosts only.
//!
//! ```text
//! send ─► scheme ─► host an address? public or allowed ─► else resolved, the addresses that are neither left out ─► connect
//!      ─► answer, whatever its status; redirects are answers ─► body up to the limit
//! ```
//!
//! Invariants: no redirect is followed and no proxy of the environment is used, since either leads somewhere else than what
//! was checked; the address that was checked is the one that is connected to, so a name that resolves to something else a
//! moment later changes nothing; a server that is slow or talks too much costs the timeout and the limit, and no more.

use std::{io, net::IpAddr, net::SocketAddr, sync::Arc, time::Duration};

use ipnet::IpNet;
use reqwest::{
    Request, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::HeaderMap,
    redirect::Policy,
};
use url::{Host, Url};

/// What a client may do.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// How long one request may take, its body included.
    pub timeout: Duration,
    /// Largest body of an answer, in bytes.
    pub body_limit: usize,
    /// Networks that are reached although they are not public.
    pub allowed_networks: Vec<IpNet>,
    /// Whether requests may go without TLS.
    pub allows_plain: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is not one that requests may go to.
    #[error("the address is not allowed")]
    NotAllowed,
    /// The body is larger than it may be.
    #[error("the answer is too large")]
    TooLarge,
    /// There was no answer, or not in time.
    #[error("no answer: {0}")]
    Failed(#[source] reqwest::Error),
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        // The address may have secrets in its query.
        Self::Failed(error.without_url())
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

/// Sends requests within bounds. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct HttpClient {
    inner: reqwest::Client,
    networks: Networks,
    body_limit: usize,
    allows_plain: bool,
}

impl HttpClient {
    /// A client with these bounds.
    ///
    /// # Errors
    /// When the trusted certificates of this machine cannot be read.
    pub fn new(bounds: &Bounds) -> Result<Self, HttpError> {
        // Whoever installed one before chose the same one.
        drop(rustls::crypto::ring::default_provider().install_default());
        let networks = Networks { allowed: bounds.allowed_networks.as_slice().into() };
        let inner = reqwest::Client::builder()
            .user_agent(concat!("Gatepost/", env!("CARGO_PKG_VERSION")))
            .timeout(bounds.timeout)
            .connect_timeout(bounds.timeout)
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .dns_resolver(Arc::new(networks.clone()))
            .build()?;
        Ok(Self { inner, networks, body_limit: bounds.body_limit, allows_plain: bounds.allows_plain })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When the address is not allowed, there is no answer in time, or it is too large.
    pub async fn send(&self, request: Request) -> Result<Answer, HttpError> {
        if !self.is_allowed(request.url()) {
            return Err(HttpError::NotAllowed);
        }
        let mut response = self.inner.execute(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > self.body_limit {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }

    /// Whether the scheme is one that requests may have: https, and http where that is allowed.
    #[must_use]
    pub fn is_scheme_allowed(&self, url: &Url) -> bool {
        url.scheme() == "https" || url.scheme() == "http" && self.allows_plain
    }

    /// Whether a request may be sent there. Of a name it is decided once it is resolved.
    fn is_allowed(&self, url: &Url) -> bool {
        let is_host = match url.host() {
            Some(Host::Ipv4(address)) => self.networks.contain(address.into()),
            Some(Host::Ipv6(address)) => self.networks.contain(address.into()),
            Some(Host::Domain(_)) => true,
            None => false,
        };
        self.is_scheme_allowed(url) && is_host && url.username().is_empty() && url.password().is_none()
    }
}

/// Where requests may go; resolves names to such addresses only.
#[derive(Clone, Debug)]
struct Networks {
    allowed: Arc<[IpNet]>,
}

impl Networks {
    fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.allowed.iter().any(|network| network.contains(&address))
    }
}

impl Resolve for Networks {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let usable: Vec<SocketAddr> = found.filter(|address| networks.contain(address.ip())).collect();
            if usable.is_empty() {
                return Err(io::Error::other("the name has no address that is allowed").into());
            }
            let addresses: Addrs = Box::new(usable.into_iter());
            Ok(addresses)
        })
    }
}

/// Networks that are not reached by the internet, or that lead back to one that is not (IANA special-purpose registries,
/// RFC 6890).
const SPECIAL: [&str; 26] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "5f00::/16",
    "fc00::/7",
    "fe80::/9",
    "ff00::/8",
];

fn is_public(address: IpAddr) -> bool {
    SPECIAL.iter().filter_map(|network| network.parse::<IpNet>().ok()).all(|network| !network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(allowed: &[&str], allows_plain: bool) -> HttpClient {
        let allowed_networks = allowed.iter().map(|network| network.parse().unwrap()).collect();
        let bounds = Bounds { timeout: Duration::from_secs(1), body_limit: 10, allowed_networks, allows_plain };
        HttpClient::new(&bounds).unwrap()
    }

    #[test]
    fn all_special_networks_are_read() {
        assert!(SPECIAL.iter().all(|network| network.parse::<IpNet>().is_ok()));
    }

    #[test]
    fn private_addresses_are_not_public_however_they_are_written() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "169.254.169.254",
            "192.168.0.1",
            "172.31.255.255",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fd00::1",
            "fe80::1",
            "ff02::1",
        ] {
            let address: IpAddr = private.parse().unwrap();
            assert!(!is_public(address.to_canonical()), "{private}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn an_address_is_looked_at_before_anything_is_sent() {
        let strict = client(&[], false);
        for refused in [
            "http://example.com/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://user:secret@example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
        ] {
            assert!(!strict.is_allowed(&Url::parse(refused).unwrap()), "{refused}");
        }
        assert!(strict.is_allowed(&Url::parse("https://example.com/a").unwrap()));
        let open = client(&["127.0.0.1/32"], true);
        assert!(open.is_allowed(&Url::parse("http://127.0.0.1:1/").unwrap()));
        assert!(!open.is_allowed(&Url::parse("http://127.0.0.2:1/").unwrap()));
    }

    #[tokio::test]
    async fn a_name_is_no_way_around_the_check() {
        let client = client(&[], true);
        let request = Request::new(reqwest::Method::GET, Url::parse("http://localhost:1/").unwrap());
        let error = client.send(request).await.unwrap_err();
        let mut causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        assert!(causes.any(|cause| cause.to_string().contains("no address that is allowed")), "{error:?}");
    }
}
