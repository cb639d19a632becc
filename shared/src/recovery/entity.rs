//! Table `password_resets`.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, users::UserId};

crate::id_type!(
    /// Id of a reset request.
    ResetId
);

/// One request for a reset.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "password_resets")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ResetId,
    /// Whose; `None` for an address that is nobody's.
    pub user_id: Option<UserId>,
    /// The user's epoch at the request.
    pub auth_epoch: i64,
    /// Key that the link is derived with.
    pub key_id: String,
    /// Requested.
    pub created_at: Timestamp,
    /// Link is good until.
    pub expires_at: Timestamp,
    /// Spent.
    pub used_at: Option<Timestamp>,
    /// Replaced by a newer request.
    pub superseded_at: Option<Timestamp>,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
