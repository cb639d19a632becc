//! Who acts, by which credential, and how far that reaches.

use uuid::Uuid;

use super::OrgId;
use crate::users::UserId;

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
        /// How the user proved who they are: RFC 8176 values, comma-separated.
        amr: String,
    },
}

impl Actor {
    /// Whether the credential reaches into this organization at all; membership is another question.
    #[must_use]
    pub fn reaches_organization(&self, _org_id: OrgId) -> bool {
        match &self.credential {
            Credential::Session { .. } => true,
        }
    }

    /// Whether the credential reaches this project of an organization that it reaches.
    #[must_use]
    pub fn reaches_project(&self, _project_id: Uuid) -> bool {
        match &self.credential {
            Credential::Session { .. } => true,
        }
    }
}
