//! Section `persons` of the configuration.

use serde::Deserialize;

/// How long what clients captured is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonsConfig {
    /// How long events are kept after they arrived; 0 for ever.
    pub keep_events_seconds: u64,
    /// How long warnings are kept after the event that they are about.
    pub keep_warnings_seconds: u64,
}
