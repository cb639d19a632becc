//! Table `project_secret_keys`.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, orgs::Scopes, projects::ProjectId, users::UserId};

crate::id_type!(
    /// Id of a secret key; not a secret.
    SecretKeyId
);

/// One secret key of a project.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "project_secret_keys")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SecretKeyId,
    /// Whose.
    pub project_id: ProjectId,
    /// What people call it; unique in the project.
    pub label: String,
    /// `sha256$` and digits.
    pub secret_hash: String,
    /// Its first and last four characters.
    pub mask: String,
    /// Scopes, separated by spaces.
    pub scopes: String,
    /// Who made it; none once they are gone.
    pub created_by: Option<UserId>,
    /// Created.
    pub created_at: Timestamp,
    /// Got its present secret, where it is not the first.
    pub rolled_at: Option<Timestamp>,
    /// Last use, to the hour.
    pub used_at: Option<Timestamp>,
    /// Reported as leaked: refused until it gets another secret.
    pub exposed_at: Option<Timestamp>,
}

impl Model {
    /// Its scopes.
    #[must_use]
    pub fn granted(&self) -> Scopes {
        Scopes::stored(&self.scopes)
    }
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
