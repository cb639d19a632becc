//! Mail: from a template and its context to a message that is safe to send twice.
//!
//! ```text
//! handler ─► Mail { template, to, context } ─► render ─► Outgoing (the same bytes every time) ─► MailTransport
//!                                                                                             smtp | mailbox
//! ledger:  sending (before the first byte) ─► handed_over + job `done` | rejected + job `dead` | unknown, tried again
//! ```
//!
//! Invariants: a message is a function of the job's id, its creation time and what the handler said, so a second copy is
//! byte for byte the first; nothing is sent that the ledger does not know; no address is in a log; TLS is never given up.
//!
//! A relay that refuses the credentials or fails TLS is the operator's business, not the job's: [`Breaker`] pauses the
//! queues that send mail, no attempt is counted, and the component `mail` is not ready until a mail has left again.

pub mod breaker;
mod deliver;
pub(crate) mod ledger;
mod mailbox;
mod message;
mod render;
mod smtp;
#[cfg(test)]
mod tests;
mod transport;

use std::sync::Arc;

pub use breaker::Breaker;
pub(crate) use deliver::deliver;
pub use mailbox::{Mailbox, MailboxMail, list};
pub use message::{Letterhead, Outgoing, Unsendable};
use minijinja::{Value, value::Serde};
pub use render::{Rendered, Renderer};
use serde::Serialize;
use shared::{config::Config, mail::MailRoute};
pub use smtp::SmtpTransport;
pub use transport::{MailTransport, Receipt, SendError};

/// A mail as a handler asks for it.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Folder of the template, such as `recovery/reset_link`.
    pub template: &'static str,
    /// The recipient's address.
    pub to: String,
    /// What the template may use.
    pub context: Value,
    /// Whether it goes out however many mails the recipient got, see [`Mail::owed`].
    pub is_owed: bool,
}

impl Mail {
    /// A mail to `to`. `template` is a folder in `workers/templates`.
    #[must_use]
    pub fn new(template: &'static str, to: &str, context: impl Serialize) -> Self {
        Self { template, to: to.to_owned(), context: Value::from(Serde(&context)), is_owed: false }
    }

    /// The same outside of the recipient's budget, for mails that only someone who proved to be the recipient can cause:
    /// a stranger who has reset links sent must not use up what keeps a code or the notice of a change from its owner.
    #[must_use]
    pub fn owed(mut self) -> Self {
        self.is_owed = true;
        self
    }
}

/// Why mail could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum MailSetupError {
    /// `mail.url` is not understood.
    #[error("mail.url: {0}")]
    Url(String),
    /// `mail.from` is no mailbox.
    #[error("mail.from is not a mailbox such as \"Gatepost <gatepost@example.com>\"")]
    From,
    /// `mail.ca_file` cannot be used.
    #[error("mail.ca_file: {0}")]
    CaFile(String),
    /// An embedded template is broken.
    #[error("mail templates: {0}")]
    Template(#[from] minijinja::Error),
}

/// Renders and sends mails.
pub struct Mailer {
    transport: Option<Arc<dyn MailTransport>>,
    renderer: Renderer,
    letterhead: Letterhead,
    breaker: Breaker,
}

impl Mailer {
    /// The mailer that the configuration asks for.
    ///
    /// # Errors
    /// When `mail.url`, `mail.from` or `mail.ca_file` cannot be used.
    pub fn new(config: &Config) -> Result<Self, MailSetupError> {
        let transport: Option<Arc<dyn MailTransport>> = match config.mail.route() {
            MailRoute::Nowhere => None,
            MailRoute::Mailbox(folder) => Some(Arc::new(Mailbox::new(folder))),
            MailRoute::Smtp => Some(Arc::new(SmtpTransport::new(&config.mail, &config.http.public_url)?)),
        };
        Self::assemble(config, transport)
    }

    /// A mailer with another transport.
    ///
    /// # Errors
    /// When `mail.from` cannot be used.
    pub fn with_transport(config: &Config, transport: Arc<dyn MailTransport>) -> Result<Self, MailSetupError> {
        Self::assemble(config, Some(transport))
    }

    fn assemble(config: &Config, transport: Option<Arc<dyn MailTransport>>) -> Result<Self, MailSetupError> {
        Ok(Self {
            transport,
            renderer: Renderer::new(&config.http.public_url)?,
            letterhead: Letterhead::new(&config.mail.from, &config.http.public_url)?,
            breaker: Breaker::new(std::time::Duration::from_secs(config.mail.pause_seconds)),
        })
    }

    /// Whether the way out is open, without sending anything.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn check(&self) -> Result<(), SendError> {
        match &self.transport {
            Some(transport) => transport.check().await,
            None => Ok(()),
        }
    }

    /// The breaker of this process.
    #[must_use]
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }
}
