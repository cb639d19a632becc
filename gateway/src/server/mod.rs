//! The listener: binding, a cap on connections, patience with slow peers, and an orderly end.
//!
//! ```text
//! bind ─► Bound ─ address() (port 0 in tests) ─ serve(app, stopping)
//!                                                   │
//!   accept, at most max_connections at once ────────┤
//!   stopping ─► drain_seconds of further connections, then none;
//!               requests in flight get grace_seconds, then the rest is cut
//! ```

mod guard;
mod head;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use guard::{GuardedStream, Patience};
use poem::{
    IntoEndpoint, Server,
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use shared::{config::HttpConfig, lifecycle::CancellationToken};
use tokio::{net::TcpListener, sync::Semaphore};

/// Longest time that a peer may take to send the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// Pause after a failed accept: out of file descriptors, trying at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener that is bound and does not accept yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// Binds an address; port 0 picks a free one.
///
/// # Errors
/// When the address is taken or not this machine's.
pub async fn bind(listen: SocketAddr) -> io::Result<Bound> {
    Bound::of(TcpListener::bind(listen).await?)
}

impl Bound {
    /// Takes over a listener that somebody else bound.
    ///
    /// # Errors
    /// When the listener cannot be made non-blocking.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::of(TcpListener::from_std(listener)?)
    }

    fn of(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves an endpoint, usually [`crate::app`], until `stopping` is cancelled and requests in flight are answered.
    ///
    /// # Errors
    /// Never once it is bound; the type is poem's.
    pub async fn serve<E>(self, endpoint: E, config: &HttpConfig, stopping: CancellationToken) -> io::Result<()>
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        let acceptor = CappedAcceptor {
            local: LocalAddr(self.address.into()),
            listener: self.listener,
            permits: Arc::new(Semaphore::new(config.max_connections.clamp(1, Semaphore::MAX_PERMITS))),
            patience: patience(config),
        };
        let (drain, grace) = (Duration::from_secs(config.drain_seconds), Duration::from_secs(config.grace_seconds));
        let drained = async move {
            stopping.cancelled().await;
            tokio::time::sleep(drain).await;
        };
        Server::new_with_acceptor(acceptor).run_with_graceful_shutdown(endpoint, drained, Some(grace)).await
    }
}

fn patience(config: &HttpConfig) -> Patience {
    let idle = Duration::from_secs(config.idle_timeout_seconds.max(1));
    let request = Duration::from_secs(config.request_timeout_seconds);
    Patience { head: idle.min(HEAD_PATIENCE), request: request * 2 + HEAD_PATIENCE, idle }
}

/// Accepts a connection only when fewer than the cap are open.
struct CappedAcceptor {
    listener: TcpListener,
    local: LocalAddr,
    permits: Arc<Semaphore>,
    patience: Patience,
}

impl Acceptor for CappedAcceptor {
    type Io = GuardedStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![self.local.clone()]
    }

    async fn accept(&mut self) -> io::Result<(Self::Io, LocalAddr, RemoteAddr, Scheme)> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?;
        match self.listener.accept().await {
            Ok((stream, peer)) => {
                // A socket that refuses the option is merely slower.
                let _ = stream.set_nodelay(true);
                let stream = GuardedStream::new(stream, self.patience, permit);
                Ok((stream, self.local.clone(), RemoteAddr(peer.into()), Scheme::HTTP))
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use poem::{Endpoint, Request, endpoint::make};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    fn config(variables: &[(&str, &str)]) -> HttpConfig {
        let variables = variables.iter().map(|(name, value)| (format!("GATEPOST__HTTP__{name}"), (*value).to_owned()));
        shared::config::load_from(None, variables).unwrap().http
    }

    fn echo() -> impl Endpoint + 'static {
        make(|request: Request| async move {
            if request.uri().path() == "/slow" {
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            request.into_body().into_string().await
        })
    }

    async fn start(config: HttpConfig) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<io::Result<()>>) {
        let bound = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stopping) = (bound.address(), CancellationToken::new());
        let token = stopping.clone();
        #[expect(clippy::disallowed_methods, reason = "the test ends with its task")]
        let task = tokio::spawn(async move { bound.serve(echo(), &config, token).await });
        (address, stopping, task)
    }

    async fn send(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// What the peer sends until it closes the connection.
    async fn rest(mut stream: TcpStream) -> String {
        let mut bytes = Vec::new();
        let reading = stream.read_to_end(&mut bytes);
        let _ = tokio::time::timeout(Duration::from_secs(10), reading).await.expect("the connection stays open");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[tokio::test]
    async fn an_ordinary_request_is_answered() {
        let (address, ..) = start(config(&[])).await;
        let stream =
            send(address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi").await;
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hi"), "{answer}");
    }

    #[tokio::test]
    async fn half_a_head_is_not_waited_for() {
        let (address, ..) = start(config(&[("IDLE_TIMEOUT_SECONDS", "1")])).await;
        for head in ["", "GET / HTTP/1.1\r\nHost: x\r\nX-A: b", "\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\n"] {
            let started = Instant::now();
            assert_eq!(rest(send(address, head).await).await, "", "{head:?}");
            assert!(started.elapsed() < Duration::from_secs(4), "{head:?}");
        }
    }

    #[tokio::test]
    async fn dripping_a_head_does_not_gain_time() {
        let (address, ..) = start(config(&[("IDLE_TIMEOUT_SECONDS", "1")])).await;
        let mut stream = send(address, "GET / HTTP/1.1\r\n").await;
        let started = Instant::now();
        while stream.write_all(b"X-A: b\r\n").await.is_ok() && started.elapsed() < Duration::from_secs(8) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
        let (address, ..) = start(config(&[("IDLE_TIMEOUT_SECONDS", "1")])).await;
        let mut stream = send(address, "").await;
        let mut buffer = vec![0; 4096];
        for _ in 0..3 {
            stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
        }
        assert_eq!(rest(stream).await, "");
    }

    #[tokio::test]
    async fn http_2_without_tls_is_not_spoken() {
        let (address, ..) = start(config(&[])).await;
        assert_eq!(rest(send(address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await).await, "");
    }

    #[tokio::test]
    async fn two_lengths_close_the_connection() {
        let (address, ..) = start(config(&[])).await;
        let smuggled = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n\
                        0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
        let answer = rest(send(address, smuggled).await).await;
        assert!(answer.matches("HTTP/1.1").count() <= 1, "{answer}");
    }

    #[tokio::test]
    async fn connections_over_the_cap_wait() {
        let (address, ..) = start(config(&[("MAX_CONNECTIONS", "1")])).await;
        let first = send(address, "").await;
        let mut second = send(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut buffer = vec![0; 64];
        let early = tokio::time::timeout(Duration::from_millis(200), second.read(&mut buffer)).await;
        assert!(early.is_err(), "the cap is not held");
        drop(first);
        let read = tokio::time::timeout(Duration::from_secs(5), second.read(&mut buffer)).await.unwrap().unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn connections_are_taken_while_it_drains() {
        let (address, stopping, task) = start(config(&[("DRAIN_SECONDS", "1")])).await;
        stopping.cancel();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let late = send(address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(rest(late).await.starts_with("HTTP/1.1 200"));
        tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_request_in_flight_is_answered_before_the_end() {
        let (address, stopping, task) = start(config(&[])).await;
        let stream = send(address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        stopping.cancel();
        assert!(rest(stream).await.starts_with("HTTP/1.1 200"));
        tokio::time::timeout(Duration::from_secs(5), task).await.unwrap().unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
