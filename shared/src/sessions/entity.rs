//! Table `sessions`.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, users::UserId};

crate::id_type!(
    /// Id of a session; not a secret.
    SessionId
);

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// SHA-256 of the token.
    pub digest: Vec<u8>,
    /// The user's epoch when it was opened.
    pub auth_epoch: i64,
    /// How the user proved who they are: RFC 8176 values, comma-separated.
    pub amr: String,
    /// Client address at the start.
    pub ip: String,
    /// Client program at the start.
    pub user_agent: Option<String>,
    /// Opened.
    pub created_at: Timestamp,
    /// Last proof of identity.
    pub reauthenticated_at: Timestamp,
    /// Last use, to the configured precision.
    pub seen_at: Timestamp,
    /// Ends at the latest.
    pub expires_at: Timestamp,
    /// Ended early.
    pub revoked_at: Option<Timestamp>,
    /// What a trusted device stood in for at the start.
    pub remembered_method: Option<String>,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
