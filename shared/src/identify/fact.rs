//! From an event to what it means for persons: a pure decision.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    CapturedEvent, PersonProcessing,
    event::{Warning, WarningKind},
};
use crate::clock::Timestamp;

/// Ids of this length may have been cut, and two that were cut may be one: they are not merged.
const CUT_LENGTH: usize = 200;
/// What cookieless clients send in place of an id.
const COOKIELESS: &str = "$posthog_cookieless";
/// Words that clients send for no id, in any case of letters.
const ILLEGAL_WORDS: [&str; 10] = [
    "anonymous",
    "guest",
    "distinctid",
    "distinct_id",
    "id",
    "not_authenticated",
    "email",
    "undefined",
    "true",
    "false",
];
/// The same, in this case of letters only.
const ILLEGAL_EXACT: [&str; 7] = ["[object Object]", "NaN", "None", "none", "null", "0", "undefined"];

/// A place in the order of events: their time, and their id between those of one time.
pub type Moment = (Timestamp, Uuid);

/// What is changed of a person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// Overwritten.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set: Map<String, Value>,
    /// Set unless it exists.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set_once: Map<String, Value>,
    /// Removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
    /// Ids that leave the person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
}

impl Changes {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.set_once.is_empty() && self.unset.is_empty() && self.ids.is_empty()
    }
}

/// What a fact does.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// The id has a person; its properties change.
    Set,
    /// The other id is absorbed into the person of this one.
    Merge {
        /// The other id.
        other: String,
        /// Whether also an identified person is absorbed.
        is_unguarded: bool,
    },
    /// The id was used without a person.
    Personless,
    /// The listed ids leave the person of this one.
    Split,
    /// A merge with an id whose person was deleted since: all but the merge is left.
    Detached,
}

/// A person event, all that persons are made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// The event's.
    pub uuid: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// Who it is about.
    pub distinct_id: String,
    /// What it does.
    pub deed: Deed,
    /// What it changes.
    pub changes: Changes,
}

impl Fact {
    /// Its place in the order.
    #[must_use]
    pub const fn moment(&self) -> Moment {
        (self.at, self.uuid)
    }

    /// The id that it merges, if it does.
    #[must_use]
    pub fn other(&self) -> Option<&str> {
        match &self.deed {
            Deed::Merge { other, .. } => Some(other),
            Deed::Set | Deed::Personless | Deed::Split | Deed::Detached => None,
        }
    }

    /// All ids that it looks at.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let one = std::iter::once(self.distinct_id.as_str());
        one.chain(self.other()).chain(self.changes.ids.iter().map(String::as_str))
    }
}

/// What an event means.
#[derive(Debug)]
pub struct Reading {
    /// The fact that it would be; `None` when the event is refused.
    pub fact: Option<Fact>,
    /// Whether it is one in any case, and not only as the first event of its id.
    pub is_remarkable: bool,
    /// What the project is told.
    pub warnings: Vec<Warning>,
}

/// Reads an event.
#[must_use]
pub fn read(event: &CapturedEvent) -> Reading {
    let name = event.event.as_str();
    let refused = |kind| Reading { fact: None, is_remarkable: false, warnings: vec![Warning::of(kind, event)] };
    if is_cookieless(event) {
        return refused(WarningKind::CookielessNotSupported);
    }
    let mut warnings = Vec::new();
    if event.person_processing == PersonProcessing::Invalid {
        warnings.push(Warning::of(WarningKind::InvalidProcessPersonProfile, event));
    }
    let is_personless = event.person_processing == PersonProcessing::Personless;
    let needs_person = ["$identify", "$create_alias", "$merge_dangerously", "$groupidentify"].contains(&name);
    if is_personless && needs_person {
        return refused(WarningKind::PersonlessIdentify);
    }
    let changes = changes(event);
    let deed = if is_personless || is_silent_flag_call(event) { Deed::Personless } else { deed(event, &mut warnings) };
    let is_remarkable = !changes.is_empty() || matches!(deed, Deed::Merge { .. });
    let fact = Fact { uuid: event.uuid, at: event.at, distinct_id: event.distinct_id.clone(), deed, changes };
    Reading { fact: Some(fact), is_remarkable, warnings }
}

fn is_cookieless(event: &CapturedEvent) -> bool {
    event.distinct_id == COOKIELESS || event.properties.get("$cookieless_mode") == Some(&Value::Bool(true))
}

/// Asking for a flag makes nobody a person, unless the client says so.
fn is_silent_flag_call(event: &CapturedEvent) -> bool {
    let says = |key: &str| event.properties.get(key);
    event.event == "$feature_flag_called"
        && says("$process_person_profile") != Some(&Value::Bool(true))
        && says("$groups").is_none()
}

fn changes(event: &CapturedEvent) -> Changes {
    if ["$exception", "$$heatmap", "$groupidentify"].contains(&event.event.as_str()) {
        return Changes::default();
    }
    let mut set_once = event.set_once.clone();
    set_once.retain(|_, value| !value.is_null());
    Changes { set: event.set.clone(), set_once, unset: event.unset.clone(), ids: Vec::new() }
}

fn deed(event: &CapturedEvent, warnings: &mut Vec<Warning>) -> Deed {
    let properties = &event.properties;
    let (other, is_unguarded) = match event.event.as_str() {
        "$identify" => (properties.get("$anon_distinct_id"), false),
        "$create_alias" => (properties.get("alias").filter(|alias| is_truthy(alias)), false),
        "$merge_dangerously" if event.may_merge_dangerously => {
            (properties.get("alias").filter(|alias| is_truthy(alias)), true)
        }
        "$merge_dangerously" => {
            warnings.push(Warning::of(WarningKind::SecretKeyRequired, event));
            (None, false)
        }
        _ => (None, false),
    };
    let Some(other) = other.map(text) else { return Deed::Set };
    if other == event.distinct_id {
        return Deed::Set;
    }
    let into = event.distinct_id.as_str();
    if let Some(illegal) = [into, other.as_str()].into_iter().find(|id| is_illegal(id)) {
        let detail =
            json!({ "illegal_distinct_id": illegal, "other_distinct_id": if illegal == into { &other } else { into } });
        warnings.push(Warning { detail, ..Warning::of(WarningKind::IllegalDistinctId, event) });
        return Deed::Set;
    }
    Deed::Merge { other, is_unguarded }
}

/// As JavaScript sees it.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_true) => *is_true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// As JavaScript writes it where a text is expected.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(is_true) => is_true.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => "[object Object]".to_owned(),
    }
}

/// Whether an id may not be merged: clients send it for many people, or it may have been cut. Capturing it is fine.
#[must_use]
pub fn is_illegal(distinct_id: &str) -> bool {
    let bare = distinct_id.trim();
    let quoted = ['\'', '"'].iter().find_map(|quote| bare.strip_prefix(*quote)?.strip_suffix(*quote));
    is_illegal_word(bare)
        || quoted.is_some_and(|inner| is_illegal_word(inner.trim()))
        || distinct_id == COOKIELESS
        || distinct_id.chars().count() >= CUT_LENGTH
}

fn is_illegal_word(word: &str) -> bool {
    word.is_empty() || ILLEGAL_WORDS.contains(&word.to_lowercase().as_str()) || ILLEGAL_EXACT.contains(&word)
}
