//! Section `sessions` of the configuration.

use std::time::Duration;

use serde::Deserialize;

use super::Sensitivity;
use crate::rate_limit::Limit;

/// How long sessions live.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionsConfig {
    /// Longest age.
    pub age_seconds: u64,
    /// Longest time without a request; 0 for no limit.
    pub idle_seconds: u64,
    /// How precisely the last use is recorded.
    pub touch_seconds: u64,
    /// How recent the last proof of identity must be for a sensitive change.
    pub sensitive_within_seconds: u64,
    /// How recent it must be to change a factor.
    pub factor_change_within_seconds: u64,
    /// Tries to renew the proof of identity, per user.
    pub reauthenticate_per_user: Limit,
}

impl SessionsConfig {
    /// Longest age.
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_secs(self.age_seconds)
    }

    /// Longest time without a request, if there is a limit.
    #[must_use]
    pub fn idle(&self) -> Option<Duration> {
        (self.idle_seconds > 0).then(|| Duration::from_secs(self.idle_seconds))
    }

    /// How recent the last proof of identity must be.
    #[must_use]
    pub fn within(&self, sensitivity: Sensitivity) -> Duration {
        Duration::from_secs(match sensitivity {
            Sensitivity::Sensitive => self.sensitive_within_seconds,
            Sensitivity::FactorChange => self.factor_change_within_seconds,
        })
    }

    /// How precisely the last use is recorded: a tenth of the idle limit at most, or a session in use would end by it.
    #[must_use]
    pub fn touch(&self) -> Duration {
        let touch = Duration::from_secs(self.touch_seconds);
        self.idle().map_or(touch, |idle| touch.min(idle / 10))
    }
}
