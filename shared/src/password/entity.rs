//! Table `passwords`.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, users::UserId};

/// The password of one user.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "passwords")]
pub struct Model {
    /// The user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// PHC string.
    pub phc: String,
    /// Id of the key that peppered it.
    pub key_id: String,
    /// When it was set.
    pub updated_at: Timestamp,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
