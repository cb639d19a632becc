//! Table `users`.

use sea_orm::entity::prelude::*;

use super::Email;
use crate::clock::Timestamp;

crate::id_type!(
    /// Id of a user.
    UserId
);

/// One user.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserId,
    /// Address that mails go to.
    pub email: String,
    /// Address that is compared; unique.
    pub email_normalised: String,
    /// When the address was proven.
    pub email_verified_at: Option<Timestamp>,
    /// Address that the user wants to change to.
    pub pending_email: Option<String>,
    /// How long it waits for proof.
    pub pending_email_until: Option<Timestamp>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// User name.
    pub username: Option<String>,
    /// Picture.
    pub image_url: Option<String>,
    /// Whether the user operates this installation.
    pub is_instance_admin: bool,
    /// Moves when everything the user holds must end.
    pub auth_epoch: i64,
    /// When the user was disabled.
    pub disabled_at: Option<Timestamp>,
    /// When the user signed up.
    pub created_at: Timestamp,
    /// When the row changed last.
    pub updated_at: Timestamp,
}

impl Model {
    /// Whether the user may sign in.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.disabled_at.is_none()
    }

    /// Whether the address was proven.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.email_verified_at.is_some()
    }

    /// The address that the user wants to change to, while it waits for proof.
    #[must_use]
    pub fn pending_email(&self, now: Timestamp) -> Option<&str> {
        self.pending_email.as_deref().filter(|_| self.pending_email_until.is_some_and(|until| until > now))
    }

    /// The address; it was valid when it was stored.
    #[must_use]
    pub fn address(&self) -> Option<Email> {
        Email::parse(&self.email).ok()
    }
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
