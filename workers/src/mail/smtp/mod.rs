//! SMTP: a small pool of connections to one relay.
//!
//! ```text
//! smtp://           connect ─► STARTTLS or give up ─► AUTH ─► MAIL ─► RCPT ─► DATA ─► message ─► 250
//! smtps://          connect with TLS ───────────────► AUTH ─► …
//! smtp+insecure://  connect ────────────────────────► AUTH ─► …                     development only
//! ```
//!
//! lettre speaks the protocol; the steps are taken here, because what an answer means depends on the step it was given in
//! (see `classify`), and because lettre's own time limit covers the connection only. Every step has the configured time
//! limit. There is never a fall-back from TLS, and credentials are sent over TLS only, except where the scheme says
//! `insecure`. A connection that was idle is asked whether it lives before it is used; one on which anything failed is
//! closed. The number of connections is bounded; who finds none free waits its turn.

mod address;
mod classify;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use address::{Relay, Security};
use async_trait::async_trait;
use classify::Step;
use lettre::transport::smtp::{
    Error,
    authentication::Mechanism,
    client::AsyncSmtpConnection,
    commands::{Data, Mail, Rcpt},
};
use shared::{chaos, mail::MailConfig};
use tokio::{sync::Semaphore, time::timeout};
use url::Url;

use super::{MailSetupError, MailTransport, Outgoing, Receipt, SendError};

/// How long a connection may be idle and still be used again.
const IDLE: Duration = Duration::from_secs(30);
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long an idle connection may take to say that it lives.
const PROBE: Duration = Duration::from_secs(2);

/// An SMTP relay as a way out.
pub struct SmtpTransport {
    relay: Relay,
    limit: Duration,
    slots: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl SmtpTransport {
    /// A transport to the relay that the configuration names. Nothing is connected yet. The host of `public_url` is
    /// what we introduce ourselves as.
    ///
    /// # Errors
    /// When the URL or the file of the certificate authority cannot be used.
    pub fn new(config: &MailConfig, public_url: &Url) -> Result<Self, MailSetupError> {
        let connections = usize::try_from(config.connections.max(1)).unwrap_or(1);
        Ok(Self {
            relay: Relay::parse(config, public_url)?,
            limit: Duration::from_secs(config.timeout_seconds.max(1)),
            slots: Semaphore::new(connections.min(Semaphore::MAX_PERMITS)),
            idle: Mutex::default(),
        })
    }

    /// One step of the conversation within the time limit.
    async fn step<T>(&self, step: Step, answer: impl Future<Output = Result<T, Error>> + Send) -> Result<T, SendError> {
        match timeout(self.limit, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(classify::failed(step, &error)),
            Err(_) => Err(classify::timed_out(step, self.limit)),
        }
    }

    /// An open connection: one that was idle and lives, or a fresh one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, SendError> {
        while let Some(mut connection) = self.take_idle() {
            if timeout(PROBE, connection.test_connected()).await.unwrap_or(false) {
                return Ok(connection);
            }
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let relay = &self.relay;
        let implicit = match &relay.security {
            Security::Implicit(tls) => Some(tls.clone()),
            Security::Starttls(_) | Security::Insecure => None,
        };
        let place = (relay.host.as_str(), relay.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(place, Some(self.limit), &relay.hello, implicit, None);
        let mut connection = self.step(Step::Connect, connecting).await?;
        if let Security::Starttls(tls) = &relay.security {
            self.step(Step::Tls, connection.starttls(tls.clone(), &relay.hello)).await?;
        }
        if let Some(credentials) = &relay.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            self.step(Step::Authenticate, connection.auth(&mechanisms, credentials)).await?;
        }
        Ok(connection)
    }

    async fn converse(&self, connection: &mut AsyncSmtpConnection, message: &Outgoing) -> Result<Receipt, SendError> {
        let envelope = message.envelope();
        self.step(Step::Sender, connection.command(Mail::new(envelope.from().cloned(), Vec::new()))).await?;
        for recipient in envelope.to() {
            self.step(Step::Recipient, connection.command(Rcpt::new(recipient.clone(), Vec::new()))).await?;
        }
        chaos::point("mail.after_rcpt");
        self.step(Step::Data, connection.command(Data)).await?;
        let response = self.step(Step::Content, connection.message(message.bytes())).await?;
        let words: Vec<&str> = response.message().collect();
        Ok(Receipt {
            reply: classify::without_addresses(&format!("{} {}", u16::from(response.code()), words.join(" "))),
        })
    }

    fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|waiting| waiting.since.elapsed() < IDLE);
        idle.pop().map(|waiting| waiting.connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(Idle { connection, since: Instant::now() });
    }
}

#[async_trait]
impl MailTransport for SmtpTransport {
    async fn send(&self, message: &Outgoing) -> Result<Receipt, SendError> {
        let slot = self.slots.acquire().await.map_err(|_| SendError::Transient("the pool is closed".to_owned()))?;
        let mut connection = self.connection().await?;
        let sent = self.converse(&mut connection, message).await;
        if sent.is_ok() {
            self.keep(connection);
        } else {
            // Whether the relay hears it does not matter: the connection is closed in any case.
            drop(timeout(GOODBYE, connection.quit()).await);
        }
        drop(slot);
        sent
    }

    async fn check(&self) -> Result<(), SendError> {
        let mut connection = self.connect().await?;
        drop(timeout(GOODBYE, connection.quit()).await);
        Ok(())
    }
}
