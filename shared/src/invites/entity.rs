//! Table `invites`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Timestamp,
    orgs::{OrgId, Role},
    users::UserId,
};

crate::id_type!(
    /// Id of an invite; not a secret.
    InviteId
);

/// One invite.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invites")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: InviteId,
    /// Where to.
    pub organization_id: OrgId,
    /// The address that it was sent to.
    pub address: String,
    /// The address in the form that is compared.
    pub address_normalised: String,
    /// What the newcomer will be.
    pub role: Role,
    /// Who invites; `None` once that user is gone.
    pub invited_by: Option<UserId>,
    /// Who signed up with it and has not proven the address yet.
    pub claimed_by: Option<UserId>,
    /// Sent.
    pub created_at: Timestamp,
    /// Good until.
    pub expires_at: Timestamp,
    /// Spent.
    pub accepted_at: Option<Timestamp>,
    /// Taken back, or replaced by a later one.
    pub revoked_at: Option<Timestamp>,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
