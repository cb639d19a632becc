//! Table `organization_domains`.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, orgs::OrgId};

/// Where the proof of a domain stands, below the domain.
const RECORD: &str = "_gatepost-challenge";

crate::id_type!(
    /// Id of a domain of an organization.
    DomainId
);

/// One domain that one organization claims.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "organization_domains")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DomainId,
    /// Who claims it.
    pub organization_id: OrgId,
    /// The domain, in ASCII and lower case; it never changes.
    pub domain: String,
    /// What its TXT record has to say.
    pub challenge: String,
    /// Since when it is proven; `None` until then, and once the proof is lost.
    pub verified_at: Option<Timestamp>,
    /// When the name server was asked last and answered.
    pub last_checked_at: Option<Timestamp>,
    /// How many checks in a row found no proof.
    pub failed_checks: i32,
    /// When the proof was lost.
    pub lost_at: Option<Timestamp>,
    /// Whether whoever signs in with a provider and a verified address of the domain becomes a member.
    pub jit_provisioning: bool,
    /// The provider that the domain demands. It stays when the proof is lost.
    pub sso_enforcement: Option<String>,
    /// Whether all of this holds for sub-domains, too.
    pub include_subdomains: bool,
    /// How often the row has changed.
    pub revision: i64,
    /// When it was claimed.
    pub created_at: Timestamp,
    /// When the row changed last.
    pub updated_at: Timestamp,
}

impl Model {
    /// Whether the organization has proven the domain.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.verified_at.is_some()
    }

    /// The name of the TXT record that proves it.
    #[must_use]
    pub fn record_name(&self) -> String {
        record_name(&self.domain)
    }

    /// Whether an address at `domain`, in ASCII and lower case, is one that this row is about.
    pub(super) fn covers(&self, domain: &str) -> bool {
        let is_below = || domain.strip_suffix(self.domain.as_str()).is_some_and(|rest| rest.ends_with('.'));
        domain == self.domain || (self.include_subdomains && is_below())
    }
}

/// The name of the TXT record that proves a domain.
pub(super) fn record_name(domain: &str) -> String {
    format!("{RECORD}.{domain}")
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
