//! Section `mail` of the configuration.

use std::path::PathBuf;

use serde::Deserialize;

use crate::{config::empty_is_none, rate_limit::Limit, secret::Redacted};

/// How mails leave the house.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// `mailbox://`, `none://`, `smtp(s)://…` or `smtp+insecure://…`.
    pub url: Redacted<String>,
    /// Sender, as an RFC 5322 mailbox.
    pub from: String,
    /// How long one step of the SMTP conversation may take.
    pub timeout_seconds: u64,
    /// SMTP connections kept open per worker process.
    pub connections: u32,
    /// PEM file with a further certificate authority to trust.
    #[serde(deserialize_with = "empty_is_none")]
    pub ca_file: Option<PathBuf>,
    /// How long a queue pauses when the relay refuses the credentials or TLS fails.
    pub pause_seconds: u64,
    /// Mails to one recipient.
    pub per_recipient: Limit,
    /// Mails to one recipient in a longer time.
    pub per_recipient_long: Limit,
}

/// Where [`MailConfig::url`] leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailRoute {
    /// A local folder, for development.
    Mailbox(PathBuf),
    /// Nowhere: this installation sends no mail.
    Nowhere,
    /// An SMTP relay.
    Smtp,
}

impl MailConfig {
    /// Where mails go.
    #[must_use]
    pub fn route(&self) -> MailRoute {
        let url = self.url.expose();
        if let Some(path) = url.strip_prefix("mailbox://") {
            let folder = if path.is_empty() { "gatepost-mailbox" } else { path };
            return MailRoute::Mailbox(PathBuf::from(folder));
        }
        if url.starts_with("none:") { MailRoute::Nowhere } else { MailRoute::Smtp }
    }

    /// Whether mails can be sent at all.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.route() != MailRoute::Nowhere
    }
}
