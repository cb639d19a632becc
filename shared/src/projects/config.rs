//! Section `projects` of the configuration.

use serde::Deserialize;

/// How many projects there may be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectsConfig {
    /// Projects of one organization.
    pub max_per_organization: u64,
}
