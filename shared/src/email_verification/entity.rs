//! Table `email_verifications`.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, users::UserId};

crate::id_type!(
    /// Id of a verification.
    VerificationId
);

/// One address to be proven.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "email_verifications")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: VerificationId,
    /// Whose; `None` for an address that is nobody's.
    pub user_id: Option<UserId>,
    /// The address to be proven.
    pub address: String,
    /// The address in the form that is compared.
    pub address_normalised: String,
    /// The address that it replaces; `None` when it is the user's only one.
    pub previous_address: Option<String>,
    /// Password that takes effect with the proof.
    pub password_phc: Option<String>,
    /// Key that peppered it.
    pub password_key_id: Option<String>,
    /// Key that link and code are derived with.
    pub key_id: String,
    /// Codes tried.
    pub attempts: i32,
    /// Requested.
    pub created_at: Timestamp,
    /// Code is good until.
    pub code_expires_at: Timestamp,
    /// Link is good until.
    pub link_expires_at: Timestamp,
    /// Spent.
    pub used_at: Option<Timestamp>,
    /// Void.
    pub cancelled_at: Option<Timestamp>,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
