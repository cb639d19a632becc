//! Tables `organizations` and `organization_members`.

use sea_orm::entity::prelude::*;

use crate::clock::Timestamp;

crate::id_type!(
    /// Id of an organization.
    OrgId
);

/// One organization, with its policy.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "organizations")]
#[expect(clippy::struct_excessive_bools, reason = "a row: each column is a rule of its own")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OrgId,
    /// Name.
    pub name: String,
    /// Whether members need a second factor.
    pub enforces_two_factor: bool,
    /// Whether a mailed code counts as that second factor.
    pub allows_email_mfa: bool,
    /// Whether the second factor of an identity provider counts as well.
    pub trusts_idp_mfa: bool,
    /// How old a member's session may become; the installation's age where absent.
    pub session_age_seconds: Option<i64>,
    /// How long a member's browser stays trusted; 0 forbids it, the installation's span where absent.
    pub trusted_device_seconds: Option<i64>,
    /// Whether members that are no admins may use personal API keys here.
    pub allows_member_api_keys: bool,
    /// Whether personal API keys may stand in the query of a request.
    pub allows_query_api_keys: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When the row changed last.
    pub updated_at: Timestamp,
    /// When it was deleted; a job removes what is left of it.
    pub deleted_at: Option<Timestamp>,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Members.
pub mod member {
    use sea_orm::entity::prelude::*;

    use super::OrgId;
    use crate::{clock::Timestamp, orgs::Role, users::UserId};

    /// One user in one organization.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "organization_members")]
    pub struct Model {
        /// Where.
        #[sea_orm(primary_key, auto_increment = false)]
        pub organization_id: OrgId,
        /// Who.
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: UserId,
        /// As what.
        pub role: Role,
        /// Since when.
        pub created_at: Timestamp,
    }

    /// No relations: joins belong to the slice that owns the result.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
