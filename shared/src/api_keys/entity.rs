//! Table `api_keys`.

use std::{fmt::Display, str::FromStr, time::Duration};

use sea_orm::entity::prelude::*;

use crate::{
    clock::Timestamp,
    orgs::{OrgId, Scopes},
    users::UserId,
};

crate::id_type!(
    /// Id of a personal API key; not a secret.
    ApiKeyId
);

/// One personal API key.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ApiKeyId,
    /// Whose.
    pub user_id: UserId,
    /// What the user calls it.
    pub label: String,
    /// `sha256$` and digits, or what a former installation stored.
    pub secret_hash: String,
    /// Its first and last four characters.
    pub mask: String,
    /// Scopes, separated by spaces.
    pub scopes: String,
    /// The organizations that it is limited to, separated by commas; empty for all.
    pub organization_ids: String,
    /// The projects that it is limited to, separated by commas; empty for all.
    pub project_ids: String,
    /// The user's epoch when it got its secret.
    pub auth_epoch: i64,
    /// Created.
    pub created_at: Timestamp,
    /// The latest of creation, roll and use.
    pub active_at: Timestamp,
    /// Got its present secret, where it is not the first.
    pub rolled_at: Option<Timestamp>,
    /// Last use, to the configured precision.
    pub used_at: Option<Timestamp>,
    /// The owner was told of 30 days that are left.
    #[sea_orm(column_name = "warned_30_at")]
    pub warned_30_at: Option<Timestamp>,
    /// The owner was told of 7 days that are left.
    #[sea_orm(column_name = "warned_7_at")]
    pub warned_7_at: Option<Timestamp>,
    /// The sweep found it expired.
    pub expired_at: Option<Timestamp>,
    /// Somebody found it where it must not be.
    pub exposed_at: Option<Timestamp>,
    /// Its use in a query was last audited.
    pub query_noted_at: Option<Timestamp>,
    /// Its refusal by an organization was last audited.
    pub refusal_noted_at: Option<Timestamp>,
}

/// Whether a key can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can.
    Active,
    /// It was not used for too long.
    Expired,
    /// Somebody reported where it leaked.
    Exposed,
    /// Everything that the user held was ended, by a new password for instance.
    Ended,
}

impl State {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Exposed => "exposed",
            Self::Ended => "ended",
        }
    }
}

impl Model {
    /// Whether it can be used at this moment by a user with this epoch.
    #[must_use]
    pub fn state(&self, auth_epoch: i64, inactivity: Duration, now: Timestamp) -> State {
        if self.exposed_at.is_some() {
            State::Exposed
        } else if self.auth_epoch != auth_epoch {
            State::Ended
        } else if self.expired_at.is_some() || self.active_at + inactivity <= now {
            State::Expired
        } else {
            State::Active
        }
    }

    /// Its scopes.
    #[must_use]
    pub fn granted(&self) -> Scopes {
        Scopes::stored(&self.scopes)
    }

    /// The organizations that it is limited to.
    #[must_use]
    pub fn organizations(&self) -> Vec<OrgId> {
        split(&self.organization_ids)
    }

    /// The projects that it is limited to.
    #[must_use]
    pub fn projects(&self) -> Vec<Uuid> {
        split(&self.project_ids)
    }
}

fn split<T: FromStr>(text: &str) -> Vec<T> {
    text.split(',').filter(|id| !id.is_empty()).filter_map(|id| id.parse().ok()).collect()
}

/// Ids as they are stored.
pub(super) fn join<T: Display>(ids: &[T]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
