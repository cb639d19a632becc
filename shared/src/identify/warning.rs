//! What a project is told about the events that it sends. Each warning exists once.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CapturedEvent, NAMESPACE};
use crate::{clock::Timestamp, projects::ProjectId};

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
