//! From JSON to events: one event, a list of them, or an envelope around a list; and the project that they name.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    CaptureError, Delivery, decode,
    event::{self, Shared},
};
use crate::{clock::Timestamp, identify::CapturedEvent, secret::Redacted};

/// Characters of a project token, at most.
const TOKEN_CHARACTERS: usize = 64;

/// How tokens begin that are no project's: those of people and of servers.
const OTHER_TOKENS: [&str; 5] = ["gpx_", "gps_", "gpst_", "phx_", "phs_"];

/// The events of one delivery.
#[derive(Debug)]
pub struct Batch {
    /// The token of the project that they are for. Whether there is such a project is not known yet.
    pub project_token: String,
    /// The events, in the order in which they came.
    pub events: Vec<CapturedEvent>,
    /// Bytes of the delivery, unpacked.
    pub bytes: usize,
    /// The secret key that the envelope presents as `secret_api_key`. Whether it is one is not known yet.
    pub secret_key: Option<Redacted<String>>,
}

/// Reads a delivery.
///
/// # Errors
/// When one of its events cannot be read, when it has none, when it does not name one project, or when it is too large.
/// Then nothing of it may be stored.
pub fn read(delivery: &Delivery<'_>) -> Result<Batch, CaptureError> {
    let (value, bytes) = decode::json(delivery)?;
    let secret_key = value.get("secret_api_key").and_then(Value::as_str).map(|text| Redacted::new(text.to_owned()));
    let Sent { token, events, at: sent_at } = unwrap(value)?;
    if events.is_empty() {
        return Err(CaptureError::Malformed("there is no event"));
    }
    let mut shared = Shared {
        received_at: delivery.received_at,
        sent_at: sent_at.or_else(|| sent_at_of_query(delivery)),
        may_lack_names: delivery.may_lack_names,
        copies: BTreeMap::new(),
    };
    let mut tokens = vec![token];
    let mut read = Vec::with_capacity(events.len());
    for raw in events {
        let Value::Object(raw) = raw else { return Err(CaptureError::Malformed("an event is not an object")) };
        tokens.push(token_of(&raw));
        read.push(event::read(raw, &mut shared)?);
    }
    let project_token = one_token(tokens)?;
    Ok(Batch { project_token, events: read, bytes, secret_key })
}

/// A delivery without its envelope.
struct Sent {
    token: Option<String>,
    events: Vec<Value>,
    at: Option<Timestamp>,
}

fn unwrap(value: Value) -> Result<Sent, CaptureError> {
    match value {
        Value::Array(events) => Ok(Sent { token: None, events, at: None }),
        Value::Object(mut envelope) => {
            let at = envelope.get("sent_at").and_then(event::moment);
            match envelope.remove("batch") {
                Some(Value::Array(events)) => Ok(Sent { token: token_of(&envelope), events, at }),
                Some(_) => Err(CaptureError::Malformed("the batch is not a list")),
                None => Ok(Sent { token: None, events: vec![Value::Object(envelope)], at }),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(CaptureError::Malformed("the body is neither an object nor a list"))
        }
    }
}

fn sent_at_of_query(delivery: &Delivery<'_>) -> Option<Timestamp> {
    let text = delivery.parameter("sent_at").or_else(|| delivery.parameter("_"))?;
    event::moment(&Value::String(text))
}

fn token_of(members: &Map<String, Value>) -> Option<String> {
    let within = members.get("properties").and_then(|properties| properties.get("token"));
    let sent = [members.get("api_key"), members.get("token"), members.get("$token"), within];
    let text = sent.into_iter().flatten().filter_map(Value::as_str).map(str::trim).find(|text| !text.is_empty());
    text.map(str::to_owned)
}

/// The token that a delivery names. Events within an envelope name it again, or not at all.
fn one_token(tokens: Vec<Option<String>>) -> Result<String, CaptureError> {
    let mut tokens = tokens.into_iter().flatten();
    let first = tokens.next().ok_or(CaptureError::Token("There is no project token; send it as `api_key`."))?;
    if tokens.any(|other| other != first) {
        return Err(CaptureError::Token("The events name more than one project token."));
    }
    if OTHER_TOKENS.iter().any(|prefix| first.starts_with(prefix)) {
        return Err(CaptureError::Token("This is a secret key, which does not belong here; send the project token."));
    }
    if first.len() > TOKEN_CHARACTERS || !first.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CaptureError::Token("This is not a project token."));
    }
    Ok(first)
}
