//! One event: its id, its time, whose it is, and what it says about a person.
//!
//! ```text
//! time   timestamp − sent_at + received     or  received − offset     or  received        within the last 72 hours
//! id     uuid                               or  made from the content and the time it was sent, so that a copy has it too
//! whose  distinct_id, $distinct_id          or  properties.distinct_id                    cut at 200 characters
//! ```

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::CaptureError;
use crate::{
    clock::Timestamp,
    identify::{self, CapturedEvent, PersonChanges, PersonProcessing},
    ids,
};

/// How far back a client may date an event.
pub const LATEST: Duration = Duration::from_hours(72);

/// Characters of a distinct id and of an event's name; longer ones are cut.
pub const MAX_CHARACTERS: usize = 200;

/// What ids that are made from content are made in (RFC 9562, section 5.5).
const NAMESPACE: Uuid = Uuid::from_u128(0x5f0c_0b3e_6d1a_5d0e_9a57_2f2b_9c44_71aa);

type Members = Map<String, Value>;

/// What all events of a delivery share.
pub(super) struct Shared {
    /// When the delivery came.
    pub received_at: Timestamp,
    /// When the client says that it sent it.
    pub sent_at: Option<Timestamp>,
    /// Whether an event without a name only sets properties.
    pub may_lack_names: bool,
    /// How often each content came that has no id.
    pub copies: BTreeMap<Uuid, u32>,
}

/// Reads one event.
pub(super) fn read(mut raw: Members, shared: &mut Shared) -> Result<CapturedEvent, CaptureError> {
    let uuid = uuid_of(&raw, shared);
    let at = time_of(&raw, shared);
    let properties = match raw.remove("properties") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(properties)) => properties,
        Some(_) => return Err(CaptureError::Malformed("the properties of an event are not an object")),
    };
    let distinct_id = distinct_id(&raw, &properties)?;
    let name = name(&raw, shared)?;
    let PersonChanges { set, set_once, unset } = identify::person_changes(&raw, &properties);
    let person_processing = match properties.get("$process_person_profile") {
        None | Some(Value::Bool(true)) => PersonProcessing::Process,
        Some(Value::Bool(false)) => PersonProcessing::Personless,
        Some(_) => PersonProcessing::Invalid,
    };
    Ok(CapturedEvent {
        uuid,
        event: name,
        distinct_id,
        at,
        received_at: shared.received_at,
        properties,
        set,
        set_once,
        unset,
        person_processing,
        // The project token is public: only a secret key beside it allows it.
        may_merge_dangerously: false,
    })
}

fn name(raw: &Members, shared: &Shared) -> Result<String, CaptureError> {
    match raw.get("event") {
        Some(Value::String(name)) if !name.is_empty() => Ok(cut(name)),
        None | Some(Value::Null) if shared.may_lack_names => Ok("$set".to_owned()),
        _ => Err(CaptureError::Malformed("an event has no name")),
    }
}

fn distinct_id(raw: &Members, properties: &Members) -> Result<String, CaptureError> {
    let candidates = [raw.get("distinct_id"), raw.get("$distinct_id"), properties.get("distinct_id")];
    let sent = candidates.into_iter().flatten().find(|value| !value.is_null());
    let text = match sent {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    if text.is_empty() { Err(CaptureError::Malformed("an event has no distinct id")) } else { Ok(cut(&text)) }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_CHARACTERS).collect()
}

/// The id that the client gave, or one that a second copy of the event gets as well. An event that tells no time at all
/// cannot be told from the next one like it: it gets a fresh id, because losing it would be worse than storing it twice.
fn uuid_of(raw: &Members, shared: &mut Shared) -> Uuid {
    if let Some(uuid) = raw.get("uuid").and_then(Value::as_str).and_then(|text| text.trim().parse().ok()) {
        return uuid;
    }
    let has_time = raw.contains_key("timestamp");
    let sent_at = if has_time { None } else { shared.sent_at.map(|at| at.0) };
    if !has_time && sent_at.is_none() {
        return ids::next();
    }
    // The offset is counted from the moment of sending, which is in it already; a key is no content.
    let content: BTreeMap<_, _> =
        raw.iter().filter(|(name, _)| !["offset", "secret_api_key", "sent_at"].contains(&name.as_str())).collect();
    let first = Uuid::new_v5(&NAMESPACE, json!([content, sent_at]).to_string().as_bytes());
    let copies = shared.copies.entry(first).or_default();
    let number = *copies;
    *copies += 1;
    if number == 0 { first } else { Uuid::new_v5(&first, &number.to_be_bytes()) }
}

/// When it happened, by this server's clock.
fn time_of(raw: &Members, shared: &Shared) -> Timestamp {
    let received = shared.received_at;
    let at = match (raw.get("timestamp").and_then(moment), raw.get("offset").and_then(Value::as_f64)) {
        (Some(claimed), _) => match shared.sent_at {
            Some(sent_at) => Timestamp(received.0.saturating_sub(sent_at.0.saturating_sub(claimed.0))),
            None => claimed,
        },
        (None, Some(offset)) => Timestamp(received.0.saturating_sub(whole_micros(offset, 1_000.0))),
        (None, None) => received,
    };
    at.clamp(received - LATEST, received)
}

/// A moment as clients write it: RFC 3339 with or without a zone, or a number of seconds or milliseconds since 1970.
pub(super) fn moment(value: &Value) -> Option<Timestamp> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match number {
        Some(number) if number.is_finite() && number > 0.0 => {
            // Milliseconds have more digits than seconds will have for some thousand years.
            Some(Timestamp(whole_micros(number, if number > 1e11 { 1_000.0 } else { 1_000_000.0 })))
        }
        Some(_) => None,
        None => date(value.as_str()?.trim()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a float that is too large saturates, and the time is clamped")]
fn whole_micros(number: f64, unit: f64) -> i64 {
    (number * unit).round() as i64
}

fn date(text: &str) -> Option<Timestamp> {
    let (day, rest) = text.split_at_checked(10)?;
    let mut usual = format!("{day}T{}", rest.get(1..).filter(|time| !time.is_empty()).unwrap_or("00:00:00Z"));
    let zone = usual.get(11..)?.find(['Z', 'z', '+', '-']).map(|at| at + 11);
    match zone.and_then(|at| usual.get(at..)) {
        None => usual.push('Z'),
        // `+0100`
        Some(offset) if offset.len() == 5 && offset.is_ascii() && !offset.contains(':') => {
            usual.insert(usual.len() - 2, ':');
        }
        Some(_) => {}
    }
    let utc = OffsetDateTime::parse(&usual.to_ascii_uppercase(), &Rfc3339).ok()?;
    i64::try_from(utc.unix_timestamp_nanos() / 1_000).ok().map(Timestamp)
}
