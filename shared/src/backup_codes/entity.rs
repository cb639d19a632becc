//! Table `backup_codes`.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, users::UserId};

crate::id_type!(
    /// Id of a backup code; not a secret.
    BackupCodeId
);

/// One backup code.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "backup_codes")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BackupCodeId,
    /// Whose.
    pub user_id: UserId,
    /// Key of the digest.
    pub key_id: String,
    /// Keyed digest of the code.
    pub digest: Vec<u8>,
    /// Made.
    pub created_at: Timestamp,
    /// Used.
    pub used_at: Option<Timestamp>,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
