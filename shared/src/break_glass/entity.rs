//! Table `break_glass_codes`.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, orgs::OrgId, users::UserId};

crate::id_type!(
    /// Id of a code; not a secret.
    BreakGlassCodeId
);

/// One code of an organization.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "break_glass_codes")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BreakGlassCodeId,
    /// Whose.
    pub organization_id: OrgId,
    /// SHA-256 of the code, which is random and long.
    pub digest: Vec<u8>,
    /// Who made it; `None` once they are gone.
    pub created_by: Option<UserId>,
    /// When.
    pub created_at: Timestamp,
    /// Who signed in with it.
    pub used_by: Option<UserId>,
    /// When.
    pub used_at: Option<Timestamp>,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
