//! Table `totps`.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, users::UserId};

/// The authenticator app of a user, and one that is being set up.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "totps")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// Key that the secret is sealed with.
    pub key_id: Option<String>,
    /// The secret, sealed.
    pub sealed: Option<Vec<u8>>,
    /// The last accepted time step.
    pub last_step: i64,
    /// In force since.
    pub enabled_at: Option<Timestamp>,
    /// Key that the secret of the setup is sealed with.
    pub setup_key_id: Option<String>,
    /// The secret of the setup, sealed.
    pub setup_sealed: Option<Vec<u8>>,
    /// The session that began the setup and may confirm it.
    pub setup_session_id: Option<Uuid>,
    /// The setup waits until.
    pub setup_expires_at: Option<Timestamp>,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
