//! Conversations with a relay that says what a test tells it to.

use shared::{config::Config, secret::Redacted};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinSet,
};

use super::*;
use crate::testing::outgoing;

/// Answers by the beginning of a command; `greeting` and `.` stand for the greeting and the end of the message.
pub(super) type Script = &'static [(&'static str, &'static str)];

const FINE: Script = &[
    ("greeting", "220 relay\r\n"),
    ("EHLO", "250-relay\r\n250 AUTH PLAIN\r\n"),
    ("AUTH", "235 2.7.0 welcome\r\n"),
    ("MAIL", "250 ok\r\n"),
    ("RCPT", "250 ok\r\n"),
    ("DATA", "354 go on\r\n"),
    (".", "250 2.0.0 queued as 4711\r\n"),
    ("NOOP", "250 ok\r\n"),
    ("QUIT", "221 bye\r\n"),
];

/// Serves connections by a script; an empty answer closes the connection, and `silence` never comes.
struct Relay {
    port: u16,
    connections: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Relay {
    async fn start(changes: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&connections);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut talks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                talks.spawn(talk(stream, "greeting", changes));
            }
        });
        Self { port, connections, _serving: serving }
    }

    fn transport(&self, scheme: &str) -> SmtpTransport {
        let config = Config::defaults().unwrap();
        let url = Redacted::new(format!("{scheme}127.0.0.1:{}", self.port));
        let mail = MailConfig { url, timeout_seconds: 1, connections: 2, ..config.mail };
        SmtpTransport::new(&mail, &config.http.public_url).unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// Talks by the script, beginning with the answer to `first`.
pub(super) async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: S, first: &str, changes: Script) {
    let mut stream = BufReader::new(stream);
    let mut command = first.to_owned();
    let mut is_content = false;
    loop {
        let key = if is_content { "." } else { command.split([' ', '\r']).next().unwrap_or_default() };
        if !is_content || command == ".\r\n" {
            let answer =
                changes.iter().chain(FINE).find(|(name, _)| *name == key).map_or("500 what\r\n", |(_, text)| text);
            if answer == "silence" {
                return std::future::pending().await;
            }
            if answer.is_empty() || stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            is_content = answer.starts_with("354");
        }
        command.clear();
        if stream.read_line(&mut command).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

async fn class(changes: Script, scheme: &str) -> &'static str {
    let relay = Relay::start(changes).await;
    let sent = relay.transport(scheme).send(&outgoing("a@example.com")).await;
    sent.as_ref().map_or_else(SendError::class, |_| "sent")
}

const PLAIN: &str = "smtp+insecure://";

#[tokio::test]
async fn one_connection_carries_many_mails() {
    let relay = Relay::start(&[]).await;
    let transport = relay.transport("smtp+insecure://user:password@");
    for _ in 0..5 {
        let receipt = transport.send(&outgoing("a@example.com")).await.unwrap();
        assert_eq!(receipt.reply, "250 2.0.0 queued as 4711");
    }
    assert_eq!(relay.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_the_relay_closed_is_replaced() {
    let relay = Relay::start(&[("NOOP", "")]).await;
    let transport = relay.transport(PLAIN);
    for _ in 0..2 {
        transport.send(&outgoing("a@example.com")).await.unwrap();
    }
    assert_eq!(relay.connections(), 2);
}

#[tokio::test]
async fn refusals_are_told_apart_by_the_step() {
    assert_eq!(class(&[("RCPT", "550 5.1.1 no such user\r\n")], PLAIN).await, "rejected");
    assert_eq!(class(&[(".", "554 5.6.0 no\r\n")], PLAIN).await, "rejected");
    assert_eq!(class(&[("MAIL", "550 5.7.1 who are you\r\n")], PLAIN).await, "configuration");
    assert_eq!(class(&[("RCPT", "451 4.7.1 greylisted\r\n")], PLAIN).await, "transient");
    assert_eq!(class(&[("greeting", "421 busy\r\n")], PLAIN).await, "transient");
    assert_eq!(class(&[("AUTH", "535 5.7.8 no\r\n")], "smtp+insecure://user:password@").await, "configuration");
    assert_eq!(class(&[("EHLO", "250 relay\r\n")], "smtp+insecure://user:password@").await, "configuration");
}

#[tokio::test]
async fn silence_and_hanging_up_are_told_apart_by_the_step() {
    assert_eq!(class(&[("greeting", "silence")], PLAIN).await, "transient");
    assert_eq!(class(&[("RCPT", "")], PLAIN).await, "transient");
    assert_eq!(class(&[("DATA", "silence")], PLAIN).await, "transient");
    assert_eq!(class(&[(".", "silence")], PLAIN).await, "unknown");
    assert_eq!(class(&[(".", "")], PLAIN).await, "unknown");
}

#[tokio::test]
async fn nothing_is_sent_without_the_tls_that_was_asked_for() {
    assert_eq!(class(&[], "smtp://user:password@").await, "configuration", "STARTTLS is not offered");
    assert_eq!(class(&[], "smtps://user:password@").await, "configuration", "it does not speak TLS");
}

#[tokio::test]
async fn nobody_listening_is_transient() {
    let relay = Relay::start(&[]).await;
    let transport = relay.transport(PLAIN);
    drop(relay);
    let error = transport.send(&outgoing("a@example.com")).await.unwrap_err();
    assert_eq!(error.class(), "transient", "{error}");
}
