//! TLS: what is sent to whom, and what is not.

use std::{io::Write as _, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use shared::{config::Config, secret::Redacted};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    tests::{Script, talk},
    *,
};
use crate::testing::{Folder, outgoing};

/// After TLS: credentials are asked for.
const SECURED: Script = &[("EHLO", "250-relay\r\n250 AUTH PLAIN\r\n")];

/// A relay with a certificate for a name; lines that came without TLS are kept.
struct TlsRelay {
    port: u16,
    authority: std::path::PathBuf,
    plain: Arc<Mutex<Vec<String>>>,
    _folder: Folder,
    _serving: JoinSet<()>,
}

impl TlsRelay {
    async fn start(name: &str, is_implicit: bool) -> Self {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let folder = Folder::new();
        let authority = folder.path().join("ca.pem");
        std::fs::File::create(&authority).unwrap().write_all(made.cert.pem().as_bytes()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let plain = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&plain);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = if is_implicit { Some(stream) } else { upgrade(stream, &heard).await };
                let first = if is_implicit { "greeting" } else { "" };
                let Some(stream) = stream else { continue };
                if let Ok(secured) = acceptor.accept(stream).await {
                    secured_talk(secured, first).await;
                }
            }
        });
        Self { port, authority, plain, _folder: folder, _serving: serving }
    }

    async fn class(&self, scheme: &str, is_trusted: bool) -> &'static str {
        let config = Config::defaults().unwrap();
        let mail = MailConfig {
            url: Redacted::new(format!("{scheme}user:hunter2@localhost:{}", self.port)),
            timeout_seconds: 5,
            ca_file: is_trusted.then(|| self.authority.clone()),
            ..config.mail
        };
        let transport = SmtpTransport::new(&mail, &config.http.public_url).unwrap();
        let sent = transport.send(&outgoing("a@example.com")).await;
        sent.as_ref().map_or_else(SendError::class, |_| "sent")
    }

    fn heard_in_plain(&self) -> Vec<String> {
        self.plain.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The part of the conversation before TLS. Returns the stream once STARTTLS was asked for.
async fn upgrade(stream: TcpStream, heard: &Mutex<Vec<String>>) -> Option<TcpStream> {
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 relay\r\n").await.ok()?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(line.trim_end().to_owned());
        let is_starttls = line.starts_with("STARTTLS");
        let answer: &[u8] = if is_starttls { b"220 go\r\n" } else { b"250-relay\r\n250 STARTTLS\r\n" };
        stream.get_mut().write_all(answer).await.ok()?;
        if is_starttls {
            return Some(stream.into_inner());
        }
    }
}

/// Goes on under TLS; after STARTTLS the client speaks first.
async fn secured_talk(stream: tokio_rustls::server::TlsStream<TcpStream>, first: &str) {
    if !first.is_empty() {
        return talk(stream, first, SECURED).await;
    }
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    if stream.read_line(&mut line).await.is_ok() {
        talk(stream, &line, SECURED).await;
    }
}

#[tokio::test]
async fn mail_goes_to_a_relay_whose_certificate_fits() {
    let relay = TlsRelay::start("localhost", true).await;
    assert_eq!(relay.class("smtps://", true).await, "sent");
    let relay = TlsRelay::start("localhost", false).await;
    assert_eq!(relay.class("smtp://", true).await, "sent");
    let heard = relay.heard_in_plain();
    assert_eq!(heard.len(), 2, "EHLO and STARTTLS only: {heard:?}");
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_is_configuration_and_nothing_is_sent() {
    for (name, is_trusted) in [("localhost", false), ("other.example.com", true)] {
        let relay = TlsRelay::start(name, true).await;
        assert_eq!(relay.class("smtps://", is_trusted).await, "configuration", "{name}");
        let relay = TlsRelay::start(name, false).await;
        assert_eq!(relay.class("smtp://", is_trusted).await, "configuration", "{name}");
        let heard = relay.heard_in_plain().join("\n");
        assert!(!heard.contains("AUTH") && !heard.contains("MAIL"), "{heard}");
    }
}
