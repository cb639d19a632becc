//! Configuration: embedded defaults, then a file, then the environment; unknown keys are refused.
//!
//! ```text
//! config.default.toml  <  gatepost.toml  <  GATEPOST__SECTION__KEY  (or …_FILE naming a file)
//! ```
//!
//! The embedded file documents every key and is the defaults. A key that it does not contain is refused with the nearest
//! one that it does. Production refuses settings that are only safe on a developer's machine, naming each.

mod effective;
mod http;
mod load;
mod production;
mod telemetry;

use std::net::SocketAddr;

pub use effective::effective;
pub use http::HttpConfig;
pub use load::{ConfigError, DEFAULTS, load, load_from};
use serde::{Deserialize, Deserializer};
pub use telemetry::{LogFormat, TelemetryConfig};

use crate::{
    api_keys::ApiKeysConfig, broker::BrokerConfig, capture::CaptureConfig, db::DatabaseConfig, devices::DevicesConfig,
    domains::DomainsConfig, email_mfa::EmailMfaConfig, email_verification::EmailVerificationConfig,
    invites::InvitesConfig, jobs::JobsConfig, lockout::LockoutConfig, login::LoginConfig, mail::MailConfig,
    orgs::OrgsConfig, passkey::PasskeyConfig, password::PasswordConfig, persons::PersonsConfig,
    precheck::PrecheckConfig, projects::ProjectsConfig, recovery::RecoveryConfig, secret::Redacted,
    secret_keys::SecretKeysConfig, sessions::SessionsConfig, social::SocialConfig, totp::TotpConfig,
    two_factor::TwoFactorConfig, two_factor_reset::TwoFactorResetConfig,
};

/// The whole configuration; `shared/config.default.toml` describes every key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What this installation is for.
    pub mode: Mode,
    /// The gateway's listener.
    pub http: HttpConfig,
    /// The database.
    pub database: DatabaseConfig,
    /// The broker.
    pub broker: BrokerConfig,
    /// Sending mail.
    pub mail: MailConfig,
    /// Logs, metrics, traces.
    pub telemetry: TelemetryConfig,
    /// Keys.
    pub secrets: SecretsConfig,
    /// Personal API keys.
    pub api_keys: ApiKeysConfig,
    /// Secret keys of projects.
    pub secret_keys: SecretKeysConfig,
    /// The job system.
    pub jobs: JobsConfig,
    /// Passkeys.
    pub passkey: PasskeyConfig,
    /// Sign-in with providers; elsewhere in memory, because it is large and the rest is handed around.
    pub social: Box<SocialConfig>,
    /// Passwords.
    pub password: PasswordConfig,
    /// Persons and events.
    pub persons: PersonsConfig,
    /// E-mail domains.
    pub domains: DomainsConfig,
    /// Trusted devices.
    pub devices: DevicesConfig,
    /// Failed attempts.
    pub lockout: LockoutConfig,
    /// Signing in.
    pub login: LoginConfig,
    /// What a sign-in page asks first.
    pub precheck: PrecheckConfig,
    /// The second factor.
    pub two_factor: TwoFactorConfig,
    /// Administrators' resets of second factors.
    pub two_factor_reset: TwoFactorResetConfig,
    /// Authenticator apps.
    pub totp: TotpConfig,
    /// The e-mail step of a login.
    pub email_mfa: EmailMfaConfig,
    /// Proof of an address.
    pub email_verification: EmailVerificationConfig,
    /// Password reset.
    pub recovery: RecoveryConfig,
    /// Sessions.
    pub sessions: SessionsConfig,
    /// Events of analytics clients.
    pub capture: CaptureConfig,
    /// Organizations.
    pub orgs: OrgsConfig,
    /// Invites to organizations.
    pub invites: InvitesConfig,
    /// Projects.
    pub projects: ProjectsConfig,
}

/// What an installation is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A developer's machine.
    Development,
    /// Real users.
    Production,
}

/// Keys of the installation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsConfig {
    /// Entries of the form `id:material`; the first one signs.
    pub keys: Redacted<Vec<String>>,
}

impl Config {
    /// The embedded defaults.
    ///
    /// # Errors
    /// Never for a released executable: a test reads them.
    pub fn defaults() -> Result<Self, ConfigError> {
        load_from(None, std::iter::empty())
    }

    /// Whether this installation is a developer's.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.mode == Mode::Development
    }
}

/// Reads an empty string as "not set".
pub(crate) fn empty_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// Reads `host:port`.
pub(crate) type Listen = SocketAddr;
