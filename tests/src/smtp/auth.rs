//! The AUTH exchanges PLAIN (RFC 4616) and LOGIN: from what the client sends to a user and a password.

use std::io;

use base64::Engine;

use super::{
    command::{Reply, reply},
    mime::BASE64,
    session::Session,
    wire::Line,
};

/// A user and a password, or the refusal of what came instead.
type Credentials = Result<(String, String), Reply>;

impl Session {
    pub(super) async fn credentials(&mut self, mechanism: &str, initial: Option<String>) -> io::Result<Credentials> {
        match mechanism {
            "PLAIN" => {
                let answer = self.answer_to("", initial).await?;
                Ok(answer.and_then(|answer| plain(&answer)))
            }
            "LOGIN" => {
                let user = match self.answer_to("VXNlcm5hbWU6", initial).await? {
                    Ok(user) => user,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                let password = self.answer_to("UGFzc3dvcmQ6", None).await?;
                Ok(password.map(|password| (user, password)))
            }
            _ => Ok(Err(reply(504, "5.5.4 mechanism not supported"))),
        }
    }

    /// The decoded answer to a challenge; an initial response makes the challenge unnecessary.
    async fn answer_to(&mut self, challenge: &str, initial: Option<String>) -> io::Result<Result<String, Reply>> {
        let answer = match initial.as_deref() {
            Some("=") => String::new(),
            Some(initial) => initial.to_owned(),
            None => match self.challenge(challenge).await? {
                Some(answer) => answer,
                None => return Ok(Err(reply(500, "5.5.2 lines end with CRLF"))),
            },
        };
        if answer == "*" {
            return Ok(Err(reply(501, "5.7.0 authentication cancelled")));
        }
        let decoded = BASE64.decode(answer).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(decoded.ok_or_else(|| reply(501, "5.5.2 not base64")))
    }

    async fn challenge(&mut self, challenge: &str) -> io::Result<Option<String>> {
        self.wire.reply(334, challenge).await?;
        match self.wire.read_line().await? {
            Line::Text(answer) => {
                self.note(&answer);
                Ok(Some(answer))
            }
            Line::BareLf | Line::TooLong => Ok(None),
            Line::Eof => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// `authorization identity NUL user NUL password`; the first is empty or the user itself.
fn plain(answer: &str) -> Credentials {
    match answer.split('\0').collect::<Vec<_>>().as_slice() {
        [identity, user, password] if identity.is_empty() || identity == user => {
            Ok(((*user).to_owned(), (*password).to_owned()))
        }
        _ => Err(reply(501, "5.5.2 malformed PLAIN response")),
    }
}
