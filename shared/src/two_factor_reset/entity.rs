//! Table `two_factor_resets`.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, users::UserId};

crate::id_type!(
    /// Id of a reset of second factors.
    TwoFactorResetId
);

/// One wish of an administrator.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "two_factor_resets")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TwoFactorResetId,
    /// Whose factors.
    pub user_id: UserId,
    /// The administrator, while they exist.
    pub requested_by: Option<UserId>,
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
