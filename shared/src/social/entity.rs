//! Table `social_identities`, and `social_logins` in [`pending`].

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, users::UserId};

crate::id_type!(
    /// Id of a linked identity.
    SocialIdentityId
);

crate::id_type!(
    /// Id of a sign-in that waits for a provider.
    SocialLoginId
);

/// An identity at a provider that is linked to a user.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "social_identities")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SocialIdentityId,
    /// Whose.
    pub user_id: UserId,
    /// The provider's name in the configuration.
    pub provider: String,
    /// The issuer that it was then: another one behind the same name knows other people.
    pub issuer: String,
    /// What the issuer knows the user by; unique for it, and never given to anybody else.
    pub subject: String,
    /// The address that the provider reported when it was linked.
    pub email: Option<String>,
    /// Linked.
    pub created_at: Timestamp,
    /// Last sign-in with it.
    pub last_used_at: Option<Timestamp>,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Table `social_logins`.
pub mod pending {
    use sea_orm::entity::prelude::*;

    use super::{SocialLoginId, Timestamp, UserId};

    /// One sign-in that waits for a provider.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "social_logins")]
    pub struct Model {
        /// Id; state, nonce and verifier are derived from it.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: SocialLoginId,
        /// The provider's name.
        pub provider: String,
        /// Its issuer.
        pub issuer: String,
        /// SHA-256 of what binds it to its browser.
        pub binding: Vec<u8>,
        /// Key that it is derived with.
        pub key_id: String,
        /// Whose account is to be linked; `None` at a sign-in.
        pub user_id: Option<UserId>,
        /// By which session.
        pub session_id: Option<Uuid>,
        /// Where the browser goes afterwards.
        pub next: String,
        /// Good until.
        pub expires_at: Timestamp,
    }

    /// No relations: joins belong to the slice that owns the result.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
