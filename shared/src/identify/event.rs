//! Events as clients send them, after decoding.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::Timestamp;

/// What the client says about person processing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PersonProcessing {
    /// The event belongs to a person: `true`, or nothing said.
    #[default]
    Process,
    /// The event creates no person: `false`.
    Personless,
    /// Something that is no boolean: it is processed, with a warning.
    Invalid,
}

/// One event, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct CapturedEvent {
    /// Chosen by the client; an event with a known one is a duplicate.
    pub uuid: Uuid,
    /// Name.
    pub event: String,
    /// Who it is about, at most 200 characters.
    pub distinct_id: String,
    /// When it happened: corrected by the client's skew, within 72 hours before `received_at`.
    pub at: Timestamp,
    /// When it arrived.
    pub received_at: Timestamp,
    /// Its properties, with those that change a person.
    pub properties: Map<String, Value>,
    /// Properties of the person that are overwritten.
    pub set: Map<String, Value>,
    /// Properties of the person that are set unless they exist; null is no value.
    pub set_once: Map<String, Value>,
    /// Properties of the person that are removed.
    pub unset: Vec<String>,
    /// Whether it belongs to a person.
    pub person_processing: PersonProcessing,
    /// Whether it came with the project's secret key, so that `$merge_dangerously` may merge.
    pub may_merge_dangerously: bool,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Events that are stored now.
    pub stored: usize,
    /// Events that were stored before.
    pub duplicates: usize,
    /// Events that are refused, each with a warning.
    pub refused: usize,
}

/// What an event changes of its person.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PersonChanges {
    /// `$set`.
    pub set: Map<String, Value>,
    /// `$set_once` without nulls, which would block the later real value.
    pub set_once: Map<String, Value>,
    /// `$unset`.
    pub unset: Vec<String>,
}

/// Reads `$set`, `$set_once` and `$unset`: what stands beside the properties is laid over what stands in them, and
/// `$unset`, a list or an object whose keys count, is read from the properties only.
#[must_use]
pub fn person_changes(event: &Map<String, Value>, properties: &Map<String, Value>) -> PersonChanges {
    let object = |key: &str| {
        let mut merged = properties.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        merged.extend(event.get(key).and_then(Value::as_object).cloned().unwrap_or_default());
        merged
    };
    let mut set_once = object("$set_once");
    set_once.retain(|_, value| !value.is_null());
    let unset = match properties.get("$unset") {
        Some(Value::Array(keys)) => keys.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::Object(keys)) => keys.keys().cloned().collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => Vec::new(),
    };
    PersonChanges { set: object("$set"), set_once, unset }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changes(event: &Value) -> PersonChanges {
        let event = event.as_object().unwrap();
        let properties = event.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        person_changes(event, &properties)
    }

    /// ID-14, ID-15
    #[test]
    fn what_stands_beside_the_properties_wins_and_nulls_are_not_set_once() {
        let read = changes(&json!({
            "$set": { "a": 1 }, "$set_once": { "b": 1, "n": null },
            "properties": { "$set": { "a": 2, "c": 3 }, "$set_once": { "b": 2, "d": 4, "m": null } },
        }));
        assert_eq!(Value::Object(read.set), json!({ "a": 1, "c": 3 }));
        assert_eq!(Value::Object(read.set_once), json!({ "b": 1, "d": 4 }));
    }

    /// ID-13
    #[test]
    fn unset_is_a_list_or_the_keys_of_an_object() {
        assert_eq!(changes(&json!({ "properties": { "$unset": ["a", 1, "b"] } })).unset, ["a", "b"]);
        assert_eq!(changes(&json!({ "properties": { "$unset": { "a": "", "b": null } } })).unset, ["a", "b"]);
        assert!(changes(&json!({ "$unset": ["a"], "properties": { "$unset": "a" } })).unset.is_empty());
    }
}
