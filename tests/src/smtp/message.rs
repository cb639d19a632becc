//! A message as the server received it: envelope, exact data, and the decoded view tests read.

use std::time::Instant;

use super::mime::{self, Entity};

/// One accepted message.
#[derive(Clone, Debug)]
pub struct Received {
    /// Address of MAIL FROM; empty for the null sender.
    pub from: String,
    /// Addresses of the accepted RCPT TO, in order.
    pub rcpts: Vec<String>,
    /// The data as sent, stuffed dots removed, lines ending in CRLF. Bytes that are not UTF-8 show as U+FFFD.
    pub raw: String,
    /// Header fields in order: name as written, value unfolded and not decoded.
    pub headers: Vec<(String, String)>,
    /// When it was recorded.
    pub received_at: Instant,
    /// Whether it came over an encrypted connection.
    pub tls: bool,
    /// Who had authenticated on the connection.
    pub auth_user: Option<String>,
}

impl Received {
    pub(super) fn new(from: String, rcpts: Vec<String>, data: &[u8], tls: bool, auth_user: Option<String>) -> Self {
        let raw = String::from_utf8_lossy(data).into_owned();
        let headers = Entity::parse(&raw).headers;
        Self { from, rcpts, raw, headers, received_at: Instant::now(), tls, auth_user }
    }

    /// First header field of that name, unfolded, encoded words (RFC 2047) decoded. The case of the name is ignored.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.header_raw(name).map(mime::decode_words)
    }

    /// First header field of that name, unfolded only.
    #[must_use]
    pub fn header_raw(&self, name: &str) -> Option<&str> {
        mime::field(&self.headers, name)
    }

    /// The Subject, decoded; empty if there is none.
    #[must_use]
    pub fn subject(&self) -> String {
        self.header("Subject").unwrap_or_default()
    }

    /// The first text/plain part, its transfer encoding removed, lines ending in LF.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        Entity::parse(&self.raw).find("text/plain")
    }

    /// The first text/html part, its transfer encoding removed, lines ending in LF.
    #[must_use]
    pub fn html(&self) -> Option<String> {
        Entity::parse(&self.raw).find("text/html")
    }

    /// Whether this address is among the recipients, ignoring case.
    #[must_use]
    pub fn is_to(&self, address: &str) -> bool {
        self.rcpts.iter().any(|rcpt| rcpt.eq_ignore_ascii_case(address))
    }
}
