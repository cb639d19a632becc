//! Section `social` of the configuration.

use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::{
    SocialError,
    provider::{Kind, Provider},
};
use crate::{http_client::Bounds, rate_limit::Limit, secret::Redacted};

/// What OpenID Connect providers are asked for.
const SCOPES: [&str; 3] = ["openid", "email", "profile"];

/// Names that are no generic provider's; `saml` is what domains may demand.
const RESERVED: [&str; 4] = ["github", "gitlab", "google", "saml"];

/// Which providers users may sign in with, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocialConfig {
    /// How long a sign-in may take at the provider.
    pub validity_seconds: u64,
    /// Whether the first sign-in of somebody unknown makes an account.
    pub allow_signup: bool,
    /// Whether an account is linked only to identities with its address.
    pub link_requires_same_email: bool,
    /// What becomes of links when their user changes the address.
    pub on_email_change: OnEmailChange,
    /// How long all requests to a provider may take, for one request to us.
    pub timeout_seconds: u64,
    /// Largest answer of a provider, in bytes.
    pub body_limit_bytes: usize,
    /// How long what a provider publishes of itself is good.
    pub metadata_seconds: u64,
    /// Networks in which providers are, although they are not public.
    pub allowed_networks: Vec<IpNet>,
    /// Sign-ins that one client network may begin.
    pub starts_per_network: Limit,
    /// Google.
    pub google: GoogleConfig,
    /// GitLab.
    pub gitlab: GitLabConfig,
    /// GitHub.
    pub github: GitHubConfig,
    /// Other providers.
    pub oidc: Vec<OidcConfig>,
}

/// What becomes of links when their user changes the address.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OnEmailChange {
    /// They go.
    Unlink,
    /// They stay.
    Keep,
}

/// Google; without a client id it is not offered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoogleConfig {
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub client_secret: Redacted<String>,
    /// Issuer.
    pub issuer: String,
}

/// GitLab; without a client id it is not offered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitLabConfig {
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub client_secret: Redacted<String>,
    /// The instance, which is its issuer, too.
    pub url: String,
}

/// GitHub; without a client id it is not offered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitHubConfig {
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub client_secret: Redacted<String>,
    /// The pages.
    pub url: String,
    /// The API.
    pub api_url: String,
}

/// An OpenID Connect provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// What it is called in addresses, in the API and in rules of domains.
    pub name: String,
    /// What it is called on buttons; its name unless it says otherwise.
    #[serde(default)]
    pub display_name: String,
    /// Issuer, exactly as it names itself.
    pub issuer: String,
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub client_secret: Redacted<String>,
    /// What it is asked for; `openid`, `email` and `profile` unless it says otherwise.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Whether an address that it calls verified is.
    #[serde(default)]
    pub trusts_email: bool,
}

/// A provider as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name in addresses.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
}

impl SocialConfig {
    /// The providers that can be used, in the order in which they are offered.
    #[must_use]
    pub fn offered(&self) -> Vec<Named> {
        let providers = self.all().into_iter().filter(Provider::is_complete);
        providers.map(|provider| Named { name: provider.name, display_name: provider.display_name }).collect()
    }

    /// The name for people of a provider, whether it can be used or not.
    #[must_use]
    pub fn display_name(&self, name: &str) -> String {
        let found = self.all().into_iter().find(|provider| provider.name == name);
        found.map_or_else(|| name.to_owned(), |provider| provider.display_name)
    }

    /// The provider of this name.
    pub(super) fn provider(&self, name: &str) -> Result<Provider, SocialError> {
        let found = self.all().into_iter().find(|provider| provider.name == name);
        let provider = found.ok_or(SocialError::UnknownProvider)?;
        if provider.is_complete() { Ok(provider) } else { Err(SocialError::NotConfigured) }
    }

    /// What requests to providers may do; without TLS only on a developer's machine.
    pub(super) fn bounds(&self, is_development: bool) -> Bounds {
        Bounds {
            timeout: self.timeout(),
            body_limit: self.body_limit_bytes,
            allowed_networks: self.allowed_networks.clone(),
            allows_plain: is_development,
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    pub(super) fn validity(&self) -> Duration {
        Duration::from_secs(self.validity_seconds)
    }

    pub(super) fn metadata(&self) -> Duration {
        Duration::from_secs(self.metadata_seconds)
    }

    /// What is wrong with the providers; nothing else of the section can be.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (index, provider) in self.oidc.iter().enumerate() {
            let name = provider.name.as_str();
            let is_plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
            if !(1..=32).contains(&name.len()) || !name.bytes().all(is_plain) || RESERVED.contains(&name) {
                mistakes.push(format!(
                    "social.oidc: the name {name:?} must be 1 to 32 lower-case letters, digits, - or _, and none of {RESERVED:?}"
                ));
            }
            if self.oidc.iter().take(index).any(|other| other.name == name) {
                mistakes.push(format!("social.oidc: two providers are called {name:?}"));
            }
        }
        mistakes
    }

    /// The addresses of configured providers that are not https.
    #[must_use]
    pub fn plain_addresses(&self) -> Vec<String> {
        let configured = self.all().into_iter().filter(Provider::is_complete);
        configured.flat_map(|provider| provider.addresses()).filter(|url| !url.starts_with("https://")).collect()
    }

    fn all(&self) -> Vec<Provider> {
        let standard = || SCOPES.map(str::to_owned).to_vec();
        let oidc = |issuer: &str, scopes: Vec<String>| Kind::Oidc { issuer: issuer.to_owned(), scopes };
        let provider =
            |name: &str, display_name: &str, kind, client: (&str, &Redacted<String>), trusts_email| Provider {
                name: name.to_owned(),
                display_name: if display_name.is_empty() { name } else { display_name }.to_owned(),
                kind,
                client_id: client.0.to_owned(),
                client_secret: client.1.clone(),
                trusts_email,
            };
        let (google, gitlab, github) = (&self.google, &self.gitlab, &self.github);
        let pages = github.url.trim_end_matches('/').to_owned();
        let github_kind = Kind::GitHub { url: pages, api_url: github.api_url.trim_end_matches('/').to_owned() };
        let gitlab_kind = oidc(gitlab.url.trim_end_matches('/'), standard());
        let mut all = vec![
            provider(
                "google",
                "Google",
                oidc(&google.issuer, standard()),
                (&google.client_id, &google.client_secret),
                true,
            ),
            provider("gitlab", "GitLab", gitlab_kind, (&gitlab.client_id, &gitlab.client_secret), true),
            provider("github", "GitHub", github_kind, (&github.client_id, &github.client_secret), true),
        ];
        all.extend(self.oidc.iter().map(|one| {
            let scopes = if one.scopes.is_empty() { standard() } else { one.scopes.clone() };
            let client = (one.client_id.as_str(), &one.client_secret);
            provider(&one.name, &one.display_name, oidc(&one.issuer, scopes), client, one.trusts_email)
        }));
        all
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn with(oidc: &str) -> super::SocialConfig {
        let mut social = *Config::defaults().unwrap().social;
        social.oidc = serde_json::from_str(oidc).unwrap();
        social
    }

    #[test]
    fn nothing_is_offered_until_it_is_configured() {
        let mut social = with("[]");
        assert!(social.offered().is_empty());
        assert!(matches!(social.provider("google"), Err(super::SocialError::NotConfigured)));
        assert!(matches!(social.provider("okta"), Err(super::SocialError::UnknownProvider)));
        "id".clone_into(&mut social.github.client_id);
        assert!(social.offered().is_empty(), "a secret is missing");
        social.github.client_secret = super::Redacted::new("secret".to_owned());
        assert_eq!(social.offered()[0].display_name, "GitHub");
    }

    #[test]
    fn names_are_part_of_addresses_and_unique() {
        let one = |name: &str| {
            format!(r#"{{"name":"{name}","issuer":"https://a.test","client_id":"c","client_secret":"s"}}"#)
        };
        assert!(with(&format!("[{},{}]", one("okta"), one("corp-2"))).mistakes().is_empty());
        for wrong in ["", "Okta", "a/b", "saml", "google", "a b"] {
            assert_eq!(with(&format!("[{}]", one(wrong))).mistakes().len(), 1, "{wrong}");
        }
        assert_eq!(with(&format!("[{},{}]", one("okta"), one("okta"))).mistakes().len(), 1);
    }
}
