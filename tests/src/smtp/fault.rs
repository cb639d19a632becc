//! Faults a test can script: one queue, consumed from its head.
//!
//! ```text
//! new connection    takes the head if it is a connection fault (stage connect, ehlo or auth)
//! MAIL FROM         takes the head if it is a mail fault (every other stage, Accept, DropAfterData)
//! head of the other kind, or empty queue     nothing is taken, the default applies
//! ```
//!
//! A fault that was taken stays with its connection or its mail transaction: a 550 at RCPT TO refuses every recipient
//! of that transaction, a 535 at AUTH refuses every attempt on that connection.

use std::{collections::VecDeque, time::Duration};

/// A step of the dialogue at which a fault shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The greeting. Whatever is replied here instead of 220, the connection is closed after it.
    Connect,
    /// EHLO or HELO.
    Ehlo,
    /// The end of an AUTH exchange, once the credentials have arrived.
    Auth,
    /// MAIL FROM.
    MailFrom,
    /// RCPT TO.
    RcptTo,
    /// The DATA command, before the message.
    Data,
    /// The final dot, after the message.
    EndOfData,
}

impl Stage {
    const fn is_of_connection(self) -> bool {
        matches!(self, Self::Connect | Self::Ehlo | Self::Auth)
    }
}

/// One misbehaviour of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None: the mail is accepted. Lets a script say "the second mail fails".
    Accept,
    /// Replies this instead of doing the step; code 421 also closes the connection.
    Reply {
        /// Where.
        at: Stage,
        /// Reply code.
        code: u16,
        /// Text after the code, on one line.
        text: String,
    },
    /// Records the message, then closes the connection without the 250: the client cannot know it was taken.
    DropAfterData,
    /// Waits before the reply, then goes on as if nothing had been. A message stalled at [`Stage::EndOfData`] is
    /// recorded when the stall ends, even if the client has gone by then.
    StallAt {
        /// Where.
        stage: Stage,
        /// How long.
        duration: Duration,
    },
}

impl Fault {
    /// [`Fault::Reply`] in short.
    #[must_use]
    pub fn reply(at: Stage, code: u16, text: &str) -> Self {
        Self::Reply { at, code, text: text.to_owned() }
    }

    /// [`Fault::StallAt`] in short.
    #[must_use]
    pub const fn stall(stage: Stage, duration: Duration) -> Self {
        Self::StallAt { stage, duration }
    }

    pub(super) const fn is_of_connection(&self) -> bool {
        match self {
            Self::Accept | Self::DropAfterData => false,
            Self::Reply { at, .. } => at.is_of_connection(),
            Self::StallAt { stage, .. } => stage.is_of_connection(),
        }
    }

    /// Waits if this fault stalls `stage`; returns the reply if it replaces that of `stage`.
    pub(super) async fn strike(&self, stage: Stage) -> Option<(u16, String)> {
        match self {
            Self::Reply { at, code, text } if *at == stage => Some((*code, text.clone())),
            Self::StallAt { stage: at, duration } if *at == stage => {
                tokio::time::sleep(*duration).await;
                None
            }
            Self::Accept | Self::DropAfterData | Self::Reply { .. } | Self::StallAt { .. } => None,
        }
    }
}

/// What is still to go wrong.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) script: VecDeque<Fault>,
    pub(super) default: Option<Fault>,
    pub(super) delay: Duration,
}

impl Plan {
    pub(super) fn for_connection(&mut self) -> Option<Fault> {
        self.take(true)
    }

    pub(super) fn for_mail(&mut self) -> Option<Fault> {
        self.take(false)
    }

    fn take(&mut self, of_connection: bool) -> Option<Fault> {
        let matches = |fault: &Fault| fault.is_of_connection() == of_connection;
        if self.script.front().is_some_and(matches) {
            return self.script.pop_front();
        }
        self.default.clone().filter(matches)
    }
}
