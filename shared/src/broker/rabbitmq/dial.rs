//! Opens one AMQP connection, and can cut it.
//!
//! ```text
//! broker.url ── address ──► resolve ── TCP ── TLS ── AMQP handshake ──► Connection + Cut
//! ```
//!
//! lapin drives a connection from a thread of its own, and that thread ends when the socket does. A peer that accepts
//! and then says nothing would keep it for ever, because heartbeats begin after the handshake; so the socket is kept
//! here as well, and whoever gives up on the connection cuts it.

use std::{
    io,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties, runtime,
    tcp::TLSConfig,
    uri::{AMQPScheme, AMQPUri},
};
use tokio::time::timeout;
use url::Url;

use super::super::{BrokerConfig, BrokerError};

/// Reads `broker.url`. The heartbeat of the configuration applies; an absent virtual host is `/`.
///
/// # Errors
/// When the URL is none, or a part of it is not understood. The text does not repeat the URL: it holds a password.
pub(super) fn address(config: &BrokerConfig) -> Result<AMQPUri, BrokerError> {
    let refused = |reason: &str| BrokerError::Unreachable(format!("broker.url is not an AMQP URL: {reason}"));
    let url = Url::parse(config.url.expose()).map_err(|error| refused(&error.to_string()))?;
    if url.cannot_be_a_base() || url.host().is_none() {
        return Err(refused("the host is missing"));
    }
    let mut uri: AMQPUri = config.url.expose().parse().map_err(|reason: String| refused(&reason))?;
    if let Some(url::Host::Ipv6(address)) = url.host() {
        uri.authority.host = address.to_string();
    }
    if uri.vhost.is_empty() {
        "/".clone_into(&mut uri.vhost);
    }
    uri.query.heartbeat = Some(u16::try_from(config.heartbeat_seconds).unwrap_or(u16::MAX));
    Ok(uri)
}

/// A handle on the socket of a connection.
#[derive(Clone, Default)]
pub(super) struct Cut(Arc<Mutex<Socket>>);

#[derive(Default)]
enum Socket {
    /// Not connected yet.
    #[default]
    Pending,
    Open(TcpStream),
    Cut,
}

impl Cut {
    /// Ends the connection at once, also one that is still being opened.
    pub(super) fn now(&self) {
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Socket::Open(stream) = &*socket {
            // It may be closed already, which is what is wanted.
            drop(stream.shutdown(Shutdown::Both));
        }
        *socket = Socket::Cut;
    }

    fn hold(&self, stream: TcpStream) -> io::Result<()> {
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*socket, Socket::Cut) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        *socket = Socket::Open(stream);
        Ok(())
    }
}

/// Cuts when it is dropped, unless the connection was handed over.
struct CutUnlessKept(Option<Cut>);

impl Drop for CutUnlessKept {
    fn drop(&mut self) {
        if let Some(cut) = self.0.take() {
            cut.now();
        }
    }
}

/// Opens a connection within the time limit.
///
/// # Errors
/// When RabbitMQ cannot be reached, refuses the user or the virtual host, or does not answer in time.
pub(super) async fn dial(uri: &AMQPUri, name: &str, limit: Duration) -> Result<(Connection, Cut), BrokerError> {
    let cut = Cut::default();
    let mut guard = CutUnlessKept(Some(cut.clone()));
    let runtime = runtime::default_runtime().map_err(|error| BrokerError::Unreachable(error.to_string()))?;
    let socket = cut.clone();
    let reactor = runtime.clone();
    let connect = async move |uri: AMQPUri, _| {
        let host = uri.authority.host.as_str();
        let opening = async {
            let addresses: Vec<_> = tokio::net::lookup_host((host, uri.authority.port)).await?.collect();
            let stream = AsyncTcpStream::connect(&reactor, addresses).await?;
            if let AsyncTcpStream::Plain(plain) = &stream {
                socket.hold(TcpStream::from(plain.get_ref().as_fd().try_clone_to_owned()?))?;
            }
            match uri.scheme {
                AMQPScheme::AMQP => Ok(stream),
                AMQPScheme::AMQPS => stream.into_tls(host, TLSConfig::default()).await,
            }
        };
        let opened = timeout(limit, opening).await;
        Ok(opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?)
    };
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let opening = Connection::connector(uri.clone(), runtime, connect, properties);
    let opened = timeout(limit, Box::pin(opening)).await.map_err(|_| BrokerError::Timeout)?;
    let connection = opened.map_err(|error| BrokerError::Unreachable(error.to_string()))?;
    guard.0 = None;
    Ok((connection, cut))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Redacted;

    fn read(url: &str) -> Result<AMQPUri, String> {
        let url = Redacted::new(url.to_owned());
        let config = BrokerConfig {
            url,
            timeout_seconds: 5,
            heartbeat_seconds: 10,
            prefix: "gatepost".to_owned(),
            delivery_limit: 20,
        };
        address(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn the_virtual_host_may_be_left_out() {
        for url in ["amqp://u:p@rabbit", "amqp://u:p@rabbit/", "amqp://u:p@rabbit/%2f"] {
            assert_eq!(read(url).unwrap().vhost, "/", "{url}");
        }
        assert_eq!(read("amqps://u:p@rabbit/gatepost").unwrap().vhost, "gatepost");
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        assert_eq!(read("amqp://127.0.0.1:5673").unwrap().authority.host, "127.0.0.1");
        assert_eq!(read("amqp://[::1]:5673").unwrap().authority.host, "::1");
    }

    #[test]
    fn a_refused_url_is_not_repeated() {
        for url in ["amqp:secret", "amqp://", "amqp://u:secret@h:99999", "amqp://u:secret@h/v?channel_max=secret"] {
            let reason = read(url).unwrap_err();
            assert!(reason.starts_with("the broker is unreachable: broker.url is not") && !reason.contains("secret"));
        }
    }

    #[tokio::test]
    async fn a_peer_that_accepts_and_stays_silent_is_given_up_and_hung_up_on() {
        use tokio::io::AsyncReadExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = read(&format!("amqp://{}", listener.local_addr().unwrap())).unwrap();
        let dialling = dial(&uri, "test", Duration::from_millis(300));
        let (dialled, accepted) = tokio::join!(dialling, listener.accept());
        assert!(matches!(dialled.err(), Some(BrokerError::Timeout)));
        let mut heard = Vec::new();
        let hung_up = timeout(Duration::from_secs(2), accepted.unwrap().0.read_to_end(&mut heard)).await;
        assert!(hung_up.is_ok() && heard.starts_with(b"AMQP"));
    }
}
