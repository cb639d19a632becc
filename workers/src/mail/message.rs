//! The message: a function of the job and of what was rendered, the same bytes every time.
//!
//! `Message-ID` and MIME boundary are made of the job's id, `Date` is the job's creation time. Headers are encoded by
//! lettre (RFC 2047), so no value can add a header; addresses are parsed before anything is built.

use std::time::{Duration, SystemTime};

use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};
use shared::{clock::Timestamp, jobs::JobId, users::Email};
use url::Url;

use super::{MailSetupError, render::Rendered};

/// RFC 3834, section 5: out-of-office replies and the like stay away.
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// Why no message could be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unsendable {
    /// The recipient is not an address.
    #[error("the recipient is not a valid address")]
    Recipient,
    /// The parts do not make a message.
    #[error("the message could not be built: {0}")]
    Message(String),
}

/// What all messages of an installation share.
#[derive(Clone, Debug)]
pub struct Letterhead {
    from: Mailbox,
    host: String,
}

/// A message that is ready to be sent, any number of times.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The job that it is of.
    pub job_id: JobId,
    /// The recipient's address.
    pub to: String,
    /// The form of the address that is compared.
    pub recipient: String,
    /// When the job was created.
    pub date: Timestamp,
    /// Subject and bodies, as they were rendered.
    pub content: Rendered,
    envelope: Envelope,
    bytes: Vec<u8>,
}

impl Letterhead {
    /// Reads sender and host name.
    ///
    /// # Errors
    /// When `from` is no mailbox.
    pub fn new(from: &str, public_url: &Url) -> Result<Self, MailSetupError> {
        let from = from.parse().map_err(|_| MailSetupError::From)?;
        Ok(Self { from, host: public_url.host_str().unwrap_or("localhost").to_owned() })
    }

    /// Makes the message of a job.
    ///
    /// # Errors
    /// When the recipient is no address.
    pub fn write(&self, job_id: JobId, date: Timestamp, to: &str, content: Rendered) -> Result<Outgoing, Unsendable> {
        let email = Email::parse(to).map_err(|_| Unsendable::Recipient)?;
        let address: Address = email.address().parse().map_err(|_| Unsendable::Recipient)?;
        let parts = MultiPart::alternative()
            .boundary(format!("gatepost-{}", job_id.0.simple()))
            .singlepart(SinglePart::plain(content.text.clone()))
            .singlepart(SinglePart::html(content.html.clone()));
        let seconds = u64::try_from(date.unix_seconds()).unwrap_or(0);
        let message = Message::builder()
            .message_id(Some(format!("<{job_id}@{}>", self.host)))
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .from(self.from.clone())
            .to(Mailbox::new(None, address))
            .subject(content.subject.clone())
            .raw_header(HeaderValue::new(AUTO_SUBMITTED, "auto-generated".to_owned()))
            .multipart(parts)
            .map_err(|error| Unsendable::Message(error.to_string()))?;
        Ok(Outgoing {
            job_id,
            to: email.address().to_owned(),
            recipient: email.normalised().to_owned(),
            date,
            content,
            envelope: message.envelope().clone(),
            bytes: message.formatted(),
        })
    }
}

impl Outgoing {
    /// Sender and recipient of the SMTP conversation.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The whole message (RFC 5322).
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The headers, unfolded, in order.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let text = String::from_utf8_lossy(&self.bytes);
        let head =
            text.split_once("\r\n\r\n").map_or("", |(head, _)| head).replace("\r\n ", " ").replace("\r\n\t", " ");
        head.split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letterhead() -> Letterhead {
        Letterhead::new("Gatepost <gatepost@example.com>", &Url::parse("https://auth.example.com/x").unwrap()).unwrap()
    }

    fn content(subject: &str) -> Rendered {
        Rendered { subject: subject.into(), text: "Grüße\nzwei".into(), html: "<p>Grüße</p>".into() }
    }

    fn job() -> JobId {
        "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
    }

    fn write(to: &str, subject: &str) -> Result<Outgoing, Unsendable> {
        letterhead().write(job(), Timestamp(1_700_000_000_123_456), to, content(subject))
    }

    #[test]
    fn two_copies_are_byte_for_byte_the_same() {
        let (first, second) = (write("a@example.com", "Hi").unwrap(), write("a@example.com", "Hi").unwrap());
        assert_eq!(String::from_utf8_lossy(first.bytes()), String::from_utf8_lossy(second.bytes()));
    }

    #[test]
    fn the_headers_are_those_of_the_job() {
        let headers = write("a@example.com", "Hi").unwrap().headers();
        let value = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(value("Message-ID"), Some("<01890a5d-ac96-774b-bcce-b302099a8057@auth.example.com>"));
        assert_eq!(value("Date"), Some("Tue, 14 Nov 2023 22:13:20 +0000"));
        assert_eq!(value("Auto-Submitted"), Some("auto-generated"));
        assert_eq!(value("To"), Some("a@example.com"));
        assert!(value("Content-Type").unwrap().contains("boundary=\"gatepost-01890a5dac96774bbcceb302099a8057\""));
    }

    #[test]
    fn no_subject_adds_a_header() {
        let message = write("a@example.com", "Hi\r\nBcc: b@example.com\r\n\r\nbody").unwrap();
        assert!(message.headers().iter().all(|(name, _)| name != "Bcc"), "{:?}", message.headers());
        assert_eq!(message.envelope().to().len(), 1);
    }

    #[test]
    fn recipients_that_are_no_address_are_refused() {
        let long = format!("{}@example.com", "a".repeat(320));
        for to in ["a@example.com\r\nBcc: b@example.com", "\"a b\"@example.com", "a@b@example.com", "", long.as_str()] {
            assert_eq!(write(to, "Hi").unwrap_err(), Unsendable::Recipient, "{to:?}");
        }
    }

    #[test]
    fn a_sender_that_is_no_mailbox_is_refused() {
        let refused = Letterhead::new("Gatepost", &Url::parse("https://example.com").unwrap());
        assert!(matches!(refused, Err(MailSetupError::From)));
    }
}
