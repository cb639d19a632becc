//! Who acts, by which credential, and how far that reaches.

use uuid::Uuid;

use super::{OrgId, Organization};
use crate::{
    enforcement::{Demand, Evidence, Shortfall},
    users::UserId,
};

/// Who acts.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The user on whose behalf; none for a credential that belongs to a project.
    pub user_id: Option<UserId>,
    /// Whether the user operates this installation.
    pub is_instance_admin: bool,
    /// By what.
    pub credential: Credential,
}

/// What a request presented.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A session.
    Session {
        /// Which.
        session_id: Uuid,
        /// What it proved, and what its user has.
        evidence: Evidence,
    },
    /// A personal API key, which acts as its owner.
    ApiKey {
        /// Which.
        api_key_id: Uuid,
        /// The organizations that it is limited to; empty for all of its owner.
        organization_ids: Vec<OrgId>,
        /// The projects that it is limited to; empty for all of the organizations.
        project_ids: Vec<Uuid>,
        /// Whether it stood in the query of the request.
        is_in_query: bool,
        /// Whether its owner has an authenticator app or a passkey.
        has_factor: bool,
    },
    /// A project's secret key, which acts for the project and has no user.
    SecretKey {
        /// Which.
        secret_key_id: Uuid,
        /// Whose.
        project_id: Uuid,
    },
}

impl Actor {
    /// Whether the credential reaches into this organization at all; membership is another question.
    #[must_use]
    pub fn reaches_organization(&self, org_id: OrgId) -> bool {
        match &self.credential {
            Credential::Session { .. } => true,
            Credential::ApiKey { organization_ids, .. } => {
                organization_ids.is_empty() || organization_ids.contains(&org_id)
            }
            // It passes the gate of its project and no other.
            Credential::SecretKey { .. } => false,
        }
    }

    /// Whether the credential reaches this project of an organization that it reaches.
    #[must_use]
    pub fn reaches_project(&self, project_id: Uuid) -> bool {
        match &self.credential {
            Credential::Session { .. } => true,
            Credential::ApiKey { project_ids, .. } => project_ids.is_empty() || project_ids.contains(&project_id),
            Credential::SecretKey { project_id: own, .. } => *own == project_id,
        }
    }

    /// Whether the credential belongs to this project, and to no user.
    #[must_use]
    pub fn is_project(&self, project_id: Uuid) -> bool {
        matches!(&self.credential, Credential::SecretKey { project_id: own, .. } if *own == project_id)
    }
}

impl Credential {
    /// What is missing to meet the organization's demand for a second factor. A key was made by a session that met it; its
    /// owner must still be able to.
    #[must_use]
    pub fn shortfall(&self, organization: &Organization) -> Option<Shortfall> {
        let demand = Demand::of(organization)?;
        match self {
            Self::Session { evidence, .. } => demand.shortfall(evidence),
            Self::ApiKey { has_factor, .. } => (!has_factor && !demand.has_alternative()).then_some(Shortfall::Setup),
            Self::SecretKey { .. } => None,
        }
    }
}
