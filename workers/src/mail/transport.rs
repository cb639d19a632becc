//! How a finished message leaves: the trait, and what can go wrong in terms of what follows from it.

use async_trait::async_trait;

use super::Outgoing;

/// The other side took responsibility for the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its words.
    pub reply: String,
}

/// Why a message did not leave. The texts carry no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may work later: 4xx, no connection, a time-out.
    #[error("{0}")]
    Transient(String),
    /// The message was written and the answer never came: it may have left. It is sent again, byte for byte the same.
    #[error("{0}")]
    Unknown(String),
    /// The recipient or the message was refused for good.
    #[error("{0}")]
    Rejected(String),
    /// The relay refused us, not the message: credentials, TLS, the sender.
    #[error("{0}")]
    Configuration(String),
}

impl SendError {
    /// Its name in metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Transient(_) => "transient",
            Self::Unknown(_) => "unknown",
            Self::Rejected(_) => "rejected",
            Self::Configuration(_) => "configuration",
        }
    }
}

/// A way out of the house.
#[async_trait]
pub trait MailTransport: Send + Sync {
    /// Hands a message over; `Ok` means that the other side has it.
    async fn send(&self, message: &Outgoing) -> Result<Receipt, SendError>;

    /// Whether the other side lets us in, without sending anything.
    async fn check(&self) -> Result<(), SendError> {
        Ok(())
    }
}
