//! A mail server for tests: real SMTP on a socket, with scripted faults and a record of all it saw.
//!
//! ```text
//! client -> session (dialogue) -> record <- SmtpServer (what the test asks)
//!              ^ fault plan <- SmtpServer (what the test scripts)
//! ```
//!
//! It enforces the order of commands, decodes what it accepts, and says nothing on any output. Dropping the server
//! ends its listener and all its connections.

mod auth;
mod command;
mod fault;
mod message;
mod mime;
mod record;
mod session;
mod spool;
#[cfg(test)]
mod tests;
mod tls;
mod wire;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub use self::{
    fault::{Fault, Stage},
    message::Received,
    record::CommandLine,
    tls::{Certificate, Tls},
};
use self::{
    record::{Shared, lock},
    spool::Spool,
    tls::Identity,
};

/// How many of the last client lines an expired wait reports.
const REPORTED_LINES: usize = 12;

/// How a server is set up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Transport encryption.
    pub tls: Tls,
    /// Certificate presented, if there is encryption.
    pub certificate: Certificate,
    /// User and password without which no mail is taken; without them AUTH is not offered.
    pub auth: Option<(String, String)>,
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
}

/// A running mail server.
pub struct SmtpServer {
    addr: SocketAddr,
    ca_pem: String,
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
    /// Keeps the port from being given away while the server is stopped.
    reserved: Mutex<Option<TcpSocket>>,
}

struct Running {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl SmtpServer {
    /// Starts on a free port of 127.0.0.1, without encryption or authentication.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// Like [`SmtpServer::start`], on a given port. To stop and go on with the same server, see
    /// [`SmtpServer::restart`].
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start_on(port: u16) -> anyhow::Result<Self> {
        Self::start_with(Options { port, ..Options::default() }).await
    }

    /// Starts with options.
    ///
    /// # Errors
    /// When the port cannot be bound or the certificate cannot be made.
    pub async fn start_with(options: Options) -> anyhow::Result<Self> {
        let (listener, shared, ca_pem) = prepare(options, None).await?;
        let addr = listener.local_addr()?;
        let running = Mutex::new(Some(Running::start(listener, &shared)));
        Ok(Self { addr, ca_pem, shared, running, reserved: Mutex::new(None) })
    }

    /// Address it listens on, or did until it was stopped.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `smtp://127.0.0.1:PORT`, or `smtps://…` with implicit encryption. Carries no credentials.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls == Tls::Implicit { "smtps" } else { "smtp" };
        format!("{scheme}://{}", self.addr)
    }

    /// PEM of the authority that signed this server's certificate; it survives [`SmtpServer::restart`].
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Closes the listener and every connection: from then on connections are refused. Record and script stay. A
    /// message that is on record has had its reply when this cuts in.
    pub async fn stop(&self) {
        let Some(running) = lock(&self.running).take() else { return };
        let settled = self.shared.settling.write().await;
        running.stop.cancel();
        if let Err(err) = running.task.await {
            tracing::debug!(error = %err, "mail server task");
        }
        drop(settled);
        *lock(&self.reserved) = reserve(self.addr).ok();
    }

    /// Listens again on the same port, with the same certificate, record and script.
    ///
    /// # Errors
    /// When it is running, or someone else took the port.
    pub async fn restart(&self) -> anyhow::Result<()> {
        if lock(&self.running).is_some() {
            bail!("the mail server on {} is running", self.addr);
        }
        let reserved = lock(&self.reserved).take();
        let listener = match reserved {
            Some(socket) => socket.listen(1024),
            None => TcpListener::bind(self.addr).await,
        };
        let listener = listener.with_context(|| format!("listening on {} again", self.addr))?;
        *lock(&self.running) = Some(Running::start(listener, &self.shared));
        Ok(())
    }

    /// Replaces what is left of the script; it is consumed from its first fault on, see [`Fault`].
    pub fn script(&self, faults: Vec<Fault>) {
        self.shared.plan(|plan| plan.script = faults.into());
    }

    /// How many scripted faults have not been taken yet.
    #[must_use]
    pub fn script_left(&self) -> usize {
        self.shared.plan(|plan| plan.script.len())
    }

    /// What happens to each connection or mail for which the script holds nothing; `None` accepts.
    pub fn set_default(&self, fault: Option<Fault>) {
        self.shared.plan(|plan| plan.default = fault);
    }

    /// Time the server takes over each mail after its final dot.
    pub fn set_delay_per_mail(&self, delay: Duration) {
        self.shared.plan(|plan| plan.delay = delay);
    }

    /// Accepted messages, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<Received> {
        lock(&self.shared.log).messages.clone()
    }

    /// Accepted messages with this recipient, in order.
    #[must_use]
    pub fn messages_to(&self, address: &str) -> Vec<Received> {
        lock(&self.shared.log).messages.iter().filter(|message| message.is_to(address)).cloned().collect()
    }

    /// Every line clients sent outside of messages, in order; AUTH payloads as received.
    #[must_use]
    pub fn transcript(&self) -> Vec<CommandLine> {
        lock(&self.shared.log).transcript.clone()
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections_seen(&self) -> usize {
        lock(&self.shared.log).connections
    }

    /// Most connections that were open at once.
    #[must_use]
    pub fn max_concurrent_connections(&self) -> usize {
        lock(&self.shared.log).max_open
    }

    /// Mail transactions begun so far: MAIL FROM commands in their place, accepted or refused by a fault.
    #[must_use]
    pub fn transactions_seen(&self) -> usize {
        lock(&self.shared.log).transactions
    }

    /// Messages that arrived up to their final dot so far, whatever became of them.
    #[must_use]
    pub fn bodies_seen(&self) -> usize {
        lock(&self.shared.log).bodies
    }

    /// Handshakes that did not come about, for instance because the client did not trust the certificate.
    #[must_use]
    pub fn failed_handshakes(&self) -> usize {
        lock(&self.shared.log).failed_handshakes
    }

    /// Forgets messages, transcript and counters. Open connections, script, default and delay stay.
    pub fn clear(&self) {
        self.shared.log(record::Log::clear);
    }

    /// Waits until at least `n` messages are on record and returns all of them.
    ///
    /// # Errors
    /// When the time is over; the error tells what came instead.
    pub async fn wait_for(&self, n: usize, timeout: Duration) -> anyhow::Result<Vec<Received>> {
        let what = format!("{n} messages");
        self.wait(timeout, &what, |server| Some(server.messages()).filter(|messages| messages.len() >= n)).await
    }

    /// Waits until at least `n` messages with this recipient are on record and returns those.
    ///
    /// # Errors
    /// When the time is over; the error tells what came instead.
    pub async fn wait_to(&self, address: &str, n: usize, timeout: Duration) -> anyhow::Result<Vec<Received>> {
        let what = format!("{n} messages to {address}");
        let enough = |server: &Self| Some(server.messages_to(address)).filter(|messages| messages.len() >= n);
        self.wait(timeout, &what, enough).await
    }

    /// Waits until `condition` holds; it is asked again after each event on any connection. `what` is for the error.
    ///
    /// # Errors
    /// When the time is over; the error tells what came instead.
    pub async fn wait_until(
        &self,
        what: &str,
        timeout: Duration,
        condition: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        self.wait(timeout, what, |server| condition(server).then_some(())).await
    }

    async fn wait<T>(&self, timeout: Duration, what: &str, probe: impl Fn(&Self) -> Option<T>) -> anyhow::Result<T> {
        let found = tokio::time::timeout(timeout, async {
            loop {
                // made before the probe, so that what happens in between is not missed
                let changed = self.shared.changed.notified();
                if let Some(found) = probe(self) {
                    return found;
                }
                changed.await;
            }
        });
        match found.await {
            Ok(found) => Ok(found),
            Err(_) => bail!("waited {timeout:?} for {what}; {}", lock(&self.shared.log).summary(REPORTED_LINES)),
        }
    }
}

impl Running {
    #[expect(clippy::disallowed_methods, reason = "the one task of this server; its handle aborts it on drop")]
    fn start(listener: TcpListener, shared: &Arc<Shared>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, Arc::clone(shared), stop.clone()));
        Self { stop, task: AbortOnDropHandle::new(task) }
    }
}

/// Serves on 127.0.0.1 until cancelled, writing each accepted message as `<n>.eml` into `spool_dir`, which is created
/// if need be. Numbers go on from those already there; a file appears before its client gets the reply, and whole.
///
/// # Errors
/// When the port cannot be bound or the folder cannot be made.
pub async fn run_standalone(port: u16, spool_dir: PathBuf) -> anyhow::Result<()> {
    let spool = Spool::open(spool_dir.clone()).with_context(|| format!("spool {}", spool_dir.display()))?;
    let options = Options { port, ..Options::default() };
    let (listener, shared, _) = prepare(options, Some(spool)).await?;
    serve(listener, shared, CancellationToken::new()).await;
    Ok(())
}

async fn prepare(options: Options, spool: Option<Spool>) -> anyhow::Result<(TcpListener, Arc<Shared>, String)> {
    let identity = Identity::generate(options.certificate)?;
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let listener = TcpListener::bind(addr).await.with_context(|| format!("listening on {addr}"))?;
    let shared = Shared::new(options.tls, options.auth, identity.acceptor, spool);
    Ok((listener, Arc::new(shared), identity.ca_pem))
}

/// Takes connections until told to stop, then ends those that are open.
async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = sessions.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(sessions.spawn(session::serve(stream, Arc::clone(&shared)))),
                Err(err) => {
                    tracing::warn!(error = %err, "mail server cannot accept");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
        }
    }
    drop(listener);
    sessions.shutdown().await;
}

/// Binds without listening: connections are refused, and the port is not given to another test.
fn reserve(addr: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}
