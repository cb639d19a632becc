//! The providers: what they are asked, and whom they say that somebody is.
//!
//! ```text
//! OpenID Connect  `oidc` ─► claims of the ID token
//! GitHub          token endpoint ─► /user and /user/emails, of which the primary address
//! ```
//!
//! All requests of one callback together take no longer than `social.timeout_seconds`.

use std::sync::OnceLock;

use serde::Deserialize;
use url::Url;

use super::SocialError;
use crate::{
    http_client::HttpClient,
    kernel::Kernel,
    oidc::{self, Asking, Claims, Client, Issuers, OidcError, Ticket},
    secret::Redacted,
    users::{self, Email},
};

/// A provider that users sign in with.
#[derive(Clone, Debug)]
pub struct Provider {
    pub name: String,
    pub display_name: String,
    pub kind: Kind,
    pub client_id: String,
    pub client_secret: Redacted<String>,
    pub trusts_email: bool,
}

/// What a provider speaks.
#[derive(Clone, Debug)]
pub enum Kind {
    Oidc { issuer: String, scopes: Vec<String> },
    GitHub { url: String, api_url: String },
}

impl Provider {
    pub fn is_complete(&self) -> bool {
        !self.client_id.is_empty() && !self.client_secret.expose().is_empty()
    }

    /// What it names itself; of GitHub, where its OAuth 2 endpoints are.
    pub fn issuer(&self) -> String {
        match &self.kind {
            Kind::Oidc { issuer, .. } => issuer.clone(),
            Kind::GitHub { url, .. } => format!("{url}/login/oauth"),
        }
    }

    pub fn addresses(&self) -> Vec<String> {
        match &self.kind {
            Kind::Oidc { issuer, .. } => vec![issuer.clone()],
            Kind::GitHub { url, api_url } => vec![url.clone(), api_url.clone()],
        }
    }
}

/// Whom a provider says that somebody is.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The provider's name.
    pub provider: String,
    /// Its issuer.
    pub issuer: String,
    /// What the issuer knows them by.
    pub subject: String,
    /// Their address there.
    pub email: Option<Email>,
    /// Whether the provider says that it verified the address, and is trusted with that.
    pub is_email_verified: bool,
    /// Their names there.
    pub names: users::Profile,
}

impl From<OidcError> for SocialError {
    fn from(err: OidcError) -> Self {
        match err {
            OidcError::Unavailable(why) => Self::Unavailable(why),
            OidcError::Rejected(why) => Self::Rejected(why),
        }
    }
}

/// The way to the providers, and what they published lately. One for all requests of a process.
#[derive(Default)]
pub struct Providers {
    http: OnceLock<HttpClient>,
    issuers: Issuers,
}

impl Providers {
    fn http(&self, kernel: &Kernel) -> Result<&HttpClient, SocialError> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        let bounds = kernel.config.social.bounds(kernel.config.is_development());
        let client = HttpClient::new(&bounds).map_err(OidcError::from)?;
        Ok(self.http.get_or_init(|| client))
    }

    fn asking<'a>(&'a self, kernel: &Kernel) -> Result<Asking<'a>, SocialError> {
        let good_for = kernel.config.social.metadata();
        Ok(Asking { http: self.http(kernel)?, now: kernel.clock.now(), good_for })
    }

    /// Where the browser goes to sign in.
    pub(super) async fn authorization_url(
        &self,
        kernel: &Kernel,
        provider: &Provider,
        ticket: &Ticket,
    ) -> Result<Url, SocialError> {
        let (mut url, scopes) = match &provider.kind {
            Kind::Oidc { issuer, scopes } => {
                let finding = self.issuers.authorization_endpoint(self.asking(kernel)?, issuer);
                (in_time(kernel, finding).await?, scopes.join(" "))
            }
            Kind::GitHub { url, .. } => (address(url, "/login/oauth/authorize")?, "read:user user:email".to_owned()),
        };
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client_id)
            .append_pair("redirect_uri", &ticket.redirect_uri)
            .append_pair("scope", &scopes)
            .append_pair("state", &ticket.state)
            .append_pair("nonce", &ticket.nonce)
            .append_pair("code_challenge", &ticket.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// Whom a callback is about. One of another issuer is refused before anything is sent anywhere (RFC 9207, section 2.4).
    pub(super) async fn identify(
        &self,
        kernel: &Kernel,
        provider: &Provider,
        (code, iss, ticket): (&str, Option<&str>, &Ticket),
    ) -> Result<Profile, SocialError> {
        let issuer = provider.issuer();
        if iss.is_some_and(|iss| iss != issuer) {
            return Err(SocialError::Rejected("the callback is of another issuer".to_owned()));
        }
        let asking = self.asking(kernel)?;
        let client = Client { issuer: &issuer, id: &provider.client_id, secret: &provider.client_secret };
        let finding = async {
            match &provider.kind {
                Kind::Oidc { issuer, .. } => {
                    if iss.is_none() && self.issuers.names_itself(asking, issuer).await? {
                        return Err(OidcError::rejected("the callback names no issuer"));
                    }
                    self.issuers.identify(asking, client, (code, ticket)).await
                }
                Kind::GitHub { url, api_url } => ask_github(asking.http, client, (url, api_url), (code, ticket)).await,
            }
        };
        Ok(profile(provider, in_time(kernel, finding).await?))
    }
}

/// What comes of it, unless it takes too long.
async fn in_time<T>(kernel: &Kernel, finding: impl Future<Output = Result<T, OidcError>>) -> Result<T, SocialError> {
    match tokio::time::timeout(kernel.config.social.timeout(), finding).await {
        Ok(found) => Ok(found?),
        Err(_) => Err(SocialError::Unavailable("it took too long".to_owned())),
    }
}

fn address(base: &str, path: &str) -> Result<Url, OidcError> {
    Url::parse(&format!("{base}{path}")).map_err(|error| OidcError::unavailable(&error))
}

fn profile(provider: &Provider, claims: Claims) -> Profile {
    let said = claims.email.as_deref().filter(|text| !text.trim().is_empty());
    Profile {
        provider: provider.name.clone(),
        issuer: provider.issuer(),
        subject: claims.sub.clone(),
        email: said.and_then(|text| Email::parse(text).ok()),
        is_email_verified: provider.trusts_email && claims.email_verified == Some(true),
        names: names(claims),
    }
}

/// The names, as far as they can be stored.
fn names(claims: Claims) -> users::Profile {
    let (mut first_name, mut last_name) = (claims.given_name, claims.family_name);
    if first_name.is_none() && last_name.is_none() {
        let whole = claims.name.filter(|name| !name.trim().is_empty()).or(claims.preferred_username);
        let whole = whole.unwrap_or_default();
        let (first, last) = whole.trim().split_once(' ').unwrap_or((whole.trim(), ""));
        (first_name, last_name) = (Some(first.to_owned()), Some(last.to_owned()));
    }
    users::Profile { first_name, last_name }.validated().unwrap_or_default()
}

/// What GitHub's token endpoint answers, with status 200 also for a code that it refuses.
#[derive(Deserialize)]
struct Granted {
    access_token: Option<String>,
}

/// GitHub's `/user`.
#[derive(Deserialize)]
struct GitHubUser {
    id: u64,
    login: String,
    name: Option<String>,
}

/// One of GitHub's `/user/emails`.
#[derive(Deserialize)]
struct GitHubEmail {
    email: String,
    primary: bool,
    verified: bool,
}

/// Whom a code is about, from GitHub's API; the address is the primary one.
async fn ask_github(
    http: &HttpClient,
    client: Client<'_>,
    (url, api_url): (&str, &str),
    code: (&str, &Ticket),
) -> Result<Claims, OidcError> {
    let endpoint = address(url, "/login/oauth/access_token")?;
    let granted: Granted = oidc::redeem(http, &endpoint, client, (code, true)).await?;
    let access_token = granted.access_token.ok_or_else(|| OidcError::rejected("the code is refused"))?;
    let user: GitHubUser = oidc::get(http, &address(api_url, "/user")?, &access_token).await?;
    let emails: Vec<GitHubEmail> = oidc::get(http, &address(api_url, "/user/emails")?, &access_token).await?;
    let primary = emails.into_iter().find(|email| email.primary);
    Ok(Claims {
        sub: user.id.to_string(),
        email_verified: primary.as_ref().map(|email| email.verified),
        email: primary.map(|email| email.email),
        name: user.name,
        preferred_username: Some(user.login),
        ..Claims::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(given: Option<&str>, family: Option<&str>, name: Option<&str>, user: Option<&str>) -> users::Profile {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let (given_name, family_name) = (text(given), text(family));
        names(Claims { given_name, family_name, name: text(name), preferred_username: text(user), ..Claims::default() })
    }

    #[test]
    fn names_come_from_what_there_is() {
        let profile = |first: Option<&str>, last: Option<&str>| users::Profile {
            first_name: first.map(str::to_owned),
            last_name: last.map(str::to_owned),
        };
        assert_eq!(named(Some("Ada"), Some("Lovelace"), Some("x y"), None), profile(Some("Ada"), Some("Lovelace")));
        assert_eq!(named(None, None, Some("Ada King Lovelace"), None), profile(Some("Ada"), Some("King Lovelace")));
        assert_eq!(named(None, None, Some(" "), Some("ada")), profile(Some("ada"), None));
        assert_eq!(named(None, None, None, None), profile(None, None));
        assert_eq!(named(Some("a\u{0}"), None, None, None), profile(None, None));
    }
}
