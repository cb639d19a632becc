//! Table `two_factor_passkeys`.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, users::UserId};

/// A user whose passkeys are a second factor; without a row they only sign in.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "two_factor_passkeys")]
pub struct Model {
    /// Who.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// Since.
    pub enabled_at: Timestamp,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
