//! Table `trusted_devices`.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, users::UserId};

crate::id_type!(
    /// Id of a trusted device; not a secret.
    DeviceId
);

/// One trusted device.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "trusted_devices")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DeviceId,
    /// Whose.
    pub user_id: UserId,
    /// SHA-256 of the cookie's secret.
    pub digest: Vec<u8>,
    /// The method that was passed.
    pub method: String,
    /// The user's epoch when it was trusted.
    pub auth_epoch: i64,
    /// Client program.
    pub user_agent: Option<String>,
    /// Trusted since.
    pub created_at: Timestamp,
    /// Trusted until.
    pub expires_at: Timestamp,
    /// No longer trusted.
    pub revoked_at: Option<Timestamp>,
    /// What the user calls it.
    pub name: Option<String>,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
