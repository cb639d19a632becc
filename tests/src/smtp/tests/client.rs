//! A client made of lines.

use std::{net::SocketAddr, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::super::SmtpServer;

pub(super) struct Client<S> {
    io: BufReader<S>,
}

impl Client<TcpStream> {
    /// Connects without reading the greeting.
    pub(super) async fn dial(addr: SocketAddr) -> Self {
        Self { io: BufReader::new(TcpStream::connect(addr).await.unwrap()) }
    }

    /// Connects and says EHLO.
    pub(super) async fn hello(server: &SmtpServer) -> Self {
        let mut client = Self::dial(server.addr()).await;
        client.expect("220 ").await;
        client.ask("EHLO client.test", "250 ").await;
        client
    }

    pub(super) async fn handshake(self, ca_pem: &str, name: &str) -> std::io::Result<Client<TlsStream<TcpStream>>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, self.io.into_inner()).await?;
        Ok(Client { io: BufReader::new(stream) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// One reply with all its lines; empty at the end of the connection.
    pub(super) async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            let read = self.io.read_line(&mut reply).await.unwrap_or(0);
            if read == 0 || reply.as_bytes()[start + 3] == b' ' {
                return reply;
            }
        }
    }

    pub(super) async fn expect(&mut self, start: &str) -> String {
        let reply = self.reply().await;
        let last = reply.lines().last().unwrap_or_default();
        assert!(last.starts_with(start), "expected {start:?}, got {reply:?}");
        reply
    }

    pub(super) async fn expect_end(&mut self) {
        assert_eq!(self.reply().await, "");
    }

    pub(super) async fn send(&mut self, raw: &str) {
        self.io.write_all(raw.as_bytes()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    pub(super) async fn ask(&mut self, line: &str, start: &str) -> String {
        self.send(&format!("{line}\r\n")).await;
        self.expect(start).await
    }

    /// A whole mail up to the final dot, its reply unread.
    pub(super) async fn mail_to(&mut self, rcpt: &str) {
        self.ask("MAIL FROM:<noreply@gatepost.test>", "250 ").await;
        self.ask(&format!("RCPT TO:<{rcpt}>"), "250 ").await;
        self.ask("DATA", "354 ").await;
        self.send("Subject: hello\r\n\r\nbody\r\n.\r\n").await;
    }
}
