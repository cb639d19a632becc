//! Events as clients send them, after decoding, and what their project is told about them.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::NAMESPACE;
use crate::{clock::Timestamp, projects::ProjectId};

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

/// Warnings that do not name an event are repeated once in this time, in microseconds: an hour.
const REPEATED: i64 = 3_600_000_000;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum WarningKind {
    /// One of the ids of a merge is one that clients send for no id.
    #[sea_orm(string_value = "cannot_merge_with_illegal_distinct_id")]
    IllegalDistinctId,
    /// The person that was to be absorbed is identified.
    #[sea_orm(string_value = "cannot_merge_already_identified")]
    AlreadyIdentified,
    /// The merge would move too many ids.
    #[sea_orm(string_value = "merge_too_large")]
    MergeTooLarge,
    /// The properties of the person would become too large.
    #[sea_orm(string_value = "person_properties_size_violation")]
    PropertiesSize,
    /// `$process_person_profile` is no boolean.
    #[sea_orm(string_value = "invalid_process_person_profile")]
    InvalidProcessPersonProfile,
    /// An event that needs a person says that it has none.
    #[sea_orm(string_value = "invalid_event_when_process_person_profile_is_false")]
    PersonlessIdentify,
    /// Cookieless events are not supported.
    #[sea_orm(string_value = "cookieless_not_supported")]
    CookielessNotSupported,
    /// `$merge_dangerously` needs the project's secret key.
    #[sea_orm(string_value = "merge_dangerously_requires_secret_key")]
    SecretKeyRequired,
    /// A sign-in named the id of another user as its anonymous one.
    #[sea_orm(string_value = "sign_in_with_id_of_a_user")]
    UserAsAnonymous,
    /// The project asks for verified identities, and this one is not.
    #[sea_orm(string_value = "identity_not_verified")]
    NotVerified,
}

impl WarningKind {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> String {
        sea_orm::ActiveEnum::to_value(&self)
    }

    /// Whether each event has one of its own; the others are told once an hour for each id.
    const fn is_per_event(self) -> bool {
        match self {
            Self::IllegalDistinctId
            | Self::AlreadyIdentified
            | Self::MergeTooLarge
            | Self::PropertiesSize
            | Self::UserAsAnonymous => true,
            Self::InvalidProcessPersonProfile
            | Self::PersonlessIdentify
            | Self::CookielessNotSupported
            | Self::SecretKeyRequired
            | Self::NotVerified => false,
        }
    }
}

/// One warning.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    /// What is wrong.
    pub kind: WarningKind,
    /// With which event.
    pub event_uuid: Uuid,
    /// Whom the event is about.
    pub distinct_id: String,
    /// Further facts.
    pub detail: Value,
    /// When the event happened.
    pub at: Timestamp,
}

impl Warning {
    /// About an event, without further facts.
    #[must_use]
    pub fn of(kind: WarningKind, event: &CapturedEvent) -> Self {
        let (event_uuid, distinct_id) = (event.uuid, event.distinct_id.clone());
        Self { kind, event_uuid, distinct_id, detail: json!({ "event": event.event }), at: event.at }
    }

    /// The same warning has the same id.
    #[must_use]
    pub fn id(&self, project_id: ProjectId) -> Uuid {
        let kind = self.kind.as_str();
        let subject = if self.kind.is_per_event() {
            self.event_uuid.to_string()
        } else {
            format!("{}:{}", self.at.0.div_euclid(REPEATED), self.distinct_id)
        };
        Uuid::new_v5(&NAMESPACE, format!("warning:{project_id}:{kind}:{subject}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(event: &Value) -> PersonChanges {
        let event = event.as_object().unwrap();
        let properties = event.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        person_changes(event, &properties)
    }

    /// ID-14, ID-15:
    #[test]
    fn what_stands_beside_the_properties_wins_and_nulls_are_not_set_once() {
        let read = changes(&json!({
            "$set": { "a": 1 }, "$set_once": { "b": 1, "n": null },
            "properties": { "$set": { "a": 2, "c": 3 }, "$set_once": { "b": 2, "d": 4, "m": null } },
        }));
        assert_eq!(Value::Object(read.set), json!({ "a": 1, "c": 3 }));
        assert_eq!(Value::Object(read.set_once), json!({ "b": 1, "d": 4 }));
    }

    /// ID-13:
    #[test]
    fn unset_is_a_list_or_the_keys_of_an_object() {
        assert_eq!(changes(&json!({ "properties": { "$unset": ["a", 1, "b"] } })).unset, ["a", "b"]);
        assert_eq!(changes(&json!({ "properties": { "$unset": { "a": "", "b": null } } })).unset, ["a", "b"]);
        assert!(changes(&json!({ "$unset": ["a"], "properties": { "$unset": "a" } })).unset.is_empty());
    }
}
