//! What a failure means, by the step of the conversation that it happened in.
//!
//! | step | 4xx | 5xx | no answer |
//! |---|---|---|---|
//! | connect, greeting, EHLO | transient | configuration | transient |
//! | STARTTLS | configuration | configuration | transient |
//! | AUTH | transient | configuration | transient |
//! | MAIL: our sender | transient | configuration | transient |
//! | RCPT, DATA | transient | rejected | transient |
//! | message | transient | rejected | unknown |
//!
//! 530, 534, 535 and 538 (RFC 4954, section 6) ask for credentials or TLS, in whatever step: configuration. So is a
//! certificate that does not fit and a relay that offers no STARTTLS. A refused sender says nothing about the recipient,
//! who would otherwise get no mail for a day.

use std::{error::Error as _, io, time::Duration};

use lettre::transport::smtp::Error;

use super::SendError;

/// A step of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Connection, TLS from the start, greeting, EHLO.
    Connect,
    /// STARTTLS, the handshake, EHLO again.
    Tls,
    /// AUTH.
    Authenticate,
    /// MAIL FROM.
    Sender,
    /// RCPT TO.
    Recipient,
    /// DATA.
    Data,
    /// The message and its closing dot.
    Content,
}

/// A step that took too long.
pub(super) fn timed_out(step: Step, limit: Duration) -> SendError {
    let text = format!("the relay did not answer within {} s ({})", limit.as_secs(), step.name());
    if step == Step::Content { SendError::Unknown(text) } else { SendError::Transient(text) }
}

/// A step that failed.
pub(super) fn failed(step: Step, error: &Error) -> SendError {
    let code = error.status().map(u16::from);
    let text = without_addresses(&format!("{} ({})", describe(error), step.name()));
    if is_tls(error) || (error.is_client() && matches!(step, Step::Tls | Step::Authenticate)) {
        return SendError::Configuration(text);
    }
    match code {
        Some(code) => answered(step, code, text),
        None if step == Step::Content => SendError::Unknown(text),
        None => SendError::Transient(text),
    }
}

fn answered(step: Step, code: u16, text: String) -> SendError {
    if matches!(code, 530 | 534 | 535 | 538) || step == Step::Tls {
        return SendError::Configuration(text);
    }
    if code < 500 {
        return SendError::Transient(text);
    }
    match step {
        Step::Connect | Step::Tls | Step::Authenticate | Step::Sender => SendError::Configuration(text),
        Step::Recipient | Step::Data | Step::Content => SendError::Rejected(text),
    }
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "STARTTLS",
            Self::Authenticate => "AUTH",
            Self::Sender => "MAIL",
            Self::Recipient => "RCPT",
            Self::Data => "DATA",
            Self::Content => "message",
        }
    }
}

/// Code and words of the answer, or what lettre says.
fn describe(error: &Error) -> String {
    match (error.status(), error.source()) {
        (Some(code), Some(words)) => format!("{} {words}", u16::from(code)),
        (Some(code), None) => u16::from(code).to_string(),
        (None, _) => error.to_string(),
    }
}

/// Whether TLS is what failed. A refused certificate comes wrapped in an I/O error inside a connection error.
fn is_tls(error: &Error) -> bool {
    if error.is_tls() {
        return true;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<rustls::Error>() {
            return true;
        }
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>) {
            return true;
        }
        source = cause.source();
    }
    false
}

/// A relay's words without the addresses that many relays repeat; they go to logs and tables.
pub(super) fn without_addresses(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if word.contains('@') { "<address>" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(step: Step, code: u16) -> &'static str {
        answered(step, code, String::new()).class()
    }

    #[test]
    fn a_refused_recipient_or_message_is_rejected() {
        for (step, code) in [
            (Step::Recipient, 550),
            (Step::Recipient, 553),
            (Step::Data, 554),
            (Step::Content, 554),
            (Step::Content, 552),
        ] {
            assert_eq!(class(step, code), "rejected", "{step:?} {code}");
        }
    }

    #[test]
    fn what_is_no_fault_of_the_mail_is_configuration() {
        for (step, code) in [
            (Step::Authenticate, 535),
            (Step::Authenticate, 504),
            (Step::Sender, 530),
            (Step::Sender, 550),
            (Step::Recipient, 530),
            (Step::Connect, 554),
            (Step::Tls, 454),
        ] {
            assert_eq!(class(step, code), "configuration", "{step:?} {code}");
        }
    }

    #[test]
    fn what_may_pass_is_transient() {
        for (step, code) in
            [(Step::Connect, 421), (Step::Recipient, 450), (Step::Content, 451), (Step::Authenticate, 454)]
        {
            assert_eq!(class(step, code), "transient", "{step:?} {code}");
        }
        assert_eq!(timed_out(Step::Recipient, Duration::from_secs(15)).class(), "transient");
        assert_eq!(timed_out(Step::Content, Duration::from_secs(15)).class(), "unknown");
    }

    #[test]
    fn addresses_are_taken_out_of_replies() {
        let reply = "550 5.1.1 <a.b@example.com>: Recipient address rejected: user a.b@example.com unknown";
        let shown = without_addresses(reply);
        assert_eq!(shown, "550 5.1.1 <address> Recipient address rejected: user <address> unknown");
    }
}
