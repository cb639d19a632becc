//! Table `projects`.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, orgs::OrgId};

crate::id_type!(
    /// Id of a project.
    ProjectId
);

/// One project.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "projects")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ProjectId,
    /// Whose.
    pub organization_id: OrgId,
    /// Name.
    pub name: String,
    /// What clients send with their events: `gpc_` and 256 random bits. Public.
    pub project_token: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When the row changed last.
    pub updated_at: Timestamp,
    /// When it was deleted; a job removes what is left of it.
    pub deleted_at: Option<Timestamp>,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
