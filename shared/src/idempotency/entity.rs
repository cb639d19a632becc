//! Table `idempotency_keys`.

use sea_orm::entity::prelude::*;

use crate::clock::Timestamp;

/// One kept answer.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    /// Keyed digest of the client's key, of who sent it and of the operation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    /// Keyed digest of the request.
    pub fingerprint: Vec<u8>,
    /// Id of the key that the answer is sealed with.
    pub key_id: String,
    /// The answer, sealed.
    pub sealed: Vec<u8>,
    /// Until when it is kept.
    pub expires_at: Timestamp,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
