//! OpenID Connect as a relying party: what an issuer publishes, the code for tokens, and whom the ID token is about.
//!
//! ```text
//! discovery and keys, cached ─► token endpoint ─► ID token ─► userinfo, where that lacks the address
//! ```
//!
//! `openidconnect` verifies ID tokens. What is checked beside that: signatures with public keys only, whatever the issuer
//! publishes; `azp`, `at_hash` and `nbf` where they are there; `iat` in the future. A key that is not known makes the keys
//! be read again, once a minute at most; keys that are too old are not used, so an issuer that is gone signs nobody in.

mod endpoint;
mod id_token;

use std::{
    collections::HashMap,
    error::Error,
    future::Future,
    iter,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub use endpoint::{get, redeem};
use id_token::Refusal;
use openidconnect::{
    AdditionalProviderMetadata, AsyncHttpClient, HttpRequest, HttpResponse, IssuerUrl, ProviderMetadata,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
        CoreSubjectIdentifierType,
    },
    http::Response,
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    clock::Timestamp,
    http_client::{HttpClient, HttpError},
    secret::{self, Redacted},
};

/// How often an unknown key makes the keys be read again, at most.
const REFRESH_EVERY: Duration = Duration::from_secs(60);

/// Why nobody is identified.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The issuer does not answer, or not as one.
    #[error("the issuer does not answer: {0}")]
    Unavailable(String),
    /// What it answers proves nothing.
    #[error("the answer proves nothing: {0}")]
    Rejected(String),
}

impl OidcError {
    /// With an error and its causes.
    #[must_use]
    pub fn unavailable(error: &(dyn Error + 'static)) -> Self {
        let causes = iter::successors(Some(error), |error: &&dyn Error| (*error).source()).map(ToString::to_string);
        Self::Unavailable(causes.collect::<Vec<_>>().join(": "))
    }

    /// With what is wrong.
    #[must_use]
    pub fn rejected(why: &str) -> Self {
        Self::Rejected(why.to_owned())
    }
}

impl From<HttpError> for OidcError {
    fn from(error: HttpError) -> Self {
        Self::unavailable(&error)
    }
}

/// This installation, as an issuer knows it.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The issuer, exactly as it names itself.
    pub issuer: &'a str,
    /// Client id.
    pub id: &'a str,
    /// Client secret.
    pub secret: &'a Redacted<String>,
}

/// What one sign-in is known by.
#[derive(Debug)]
pub struct Ticket {
    /// Comes back with the browser.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Proves to the token endpoint who asked for the code (RFC 7636).
    pub verifier: Redacted<String>,
    /// Where the browser comes back to.
    pub redirect_uri: String,
}

impl Ticket {
    /// What the authorization endpoint gets of the verifier, by the method `S256`.
    #[must_use]
    pub fn challenge(&self) -> String {
        secret::encode(&secret::digest(self.verifier.expose()))
    }
}

/// What an issuer says about somebody.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// What it knows them by.
    pub sub: String,
    /// Address.
    pub email: Option<String>,
    /// Whether it verified the address.
    pub email_verified: Option<bool>,
    /// Whole name.
    pub name: Option<String>,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// What they call themselves.
    pub preferred_username: Option<String>,
    /// Not to be used before, in seconds.
    pub nbf: Option<f64>,
}

/// What is not in the core metadata (RFC 9207, section 3).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Further {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Further {}

type Metadata = ProviderMetadata<
    Further,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

impl<'c> AsyncHttpClient<'c> for HttpClient {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let answer = self.send(request.try_into()?).await?;
            let mut response = Response::new(answer.body);
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            Ok(response)
        })
    }
}

/// What an issuer published.
#[derive(Clone)]
struct Known {
    metadata: Arc<Metadata>,
    fetched_at: Timestamp,
    /// When an unknown key made the keys be read again.
    refreshed_at: Option<Timestamp>,
}

/// What issuers published lately.
#[derive(Default)]
pub struct Issuers {
    known: Mutex<HashMap<String, Known>>,
}

/// The circumstances of a request to an issuer.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Sends it.
    pub http: &'a HttpClient,
    /// When it is.
    pub now: Timestamp,
    /// How long what an issuer published is good.
    pub good_for: Duration,
}

impl Issuers {
    /// What the issuer publishes, as it was not long ago.
    async fn metadata(&self, asking: Asking<'_>, issuer: &str) -> Result<Arc<Metadata>, OidcError> {
        let found = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(issuer).cloned();
        match found.filter(|known| asking.now.since(known.fetched_at) < asking.good_for) {
            Some(known) => Ok(known.metadata),
            None => self.discover(asking, issuer).await,
        }
    }

    /// What the issuer publishes now.
    async fn discover(&self, asking: Asking<'_>, issuer: &str) -> Result<Arc<Metadata>, OidcError> {
        let url = IssuerUrl::new(issuer.to_owned()).map_err(|error| OidcError::unavailable(&error))?;
        let metadata = Metadata::discover_async(url, asking.http).await;
        let metadata = Arc::new(metadata.map_err(|error| OidcError::unavailable(&error))?);
        if !asking.http.is_scheme_allowed(metadata.authorization_endpoint().url()) {
            return Err(OidcError::Unavailable("its authorization endpoint is not https".to_owned()));
        }
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let refreshed_at = all.get(issuer).and_then(|known| known.refreshed_at);
        let known = Known { metadata: Arc::clone(&metadata), fetched_at: asking.now, refreshed_at };
        all.insert(issuer.to_owned(), known);
        Ok(metadata)
    }

    /// What the issuer publishes anew, unless that was tried within the last minute.
    async fn refresh(&self, asking: Asking<'_>, issuer: &str) -> Option<Arc<Metadata>> {
        {
            let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let known = all.get_mut(issuer)?;
            if known.refreshed_at.is_some_and(|at| asking.now.since(at) < REFRESH_EVERY) {
                return None;
            }
            known.refreshed_at = Some(asking.now);
        }
        self.discover(asking, issuer).await.ok()
    }

    /// Where browsers go to sign in.
    ///
    /// # Errors
    /// When the issuer does not answer.
    pub async fn authorization_endpoint(&self, asking: Asking<'_>, issuer: &str) -> Result<Url, OidcError> {
        Ok(self.metadata(asking, issuer).await?.authorization_endpoint().url().clone())
    }

    /// Whether the issuer says that its callbacks always name it (RFC 9207).
    ///
    /// # Errors
    /// When the issuer does not answer.
    pub async fn names_itself(&self, asking: Asking<'_>, issuer: &str) -> Result<bool, OidcError> {
        let metadata = self.metadata(asking, issuer).await?;
        Ok(metadata.additional_metadata().authorization_response_iss_parameter_supported)
    }

    /// Whom a code is about.
    ///
    /// # Errors
    /// When the issuer does not answer, or what it answers does not verify.
    pub async fn identify(
        &self,
        asking: Asking<'_>,
        client: Client<'_>,
        (code, ticket): (&str, &Ticket),
    ) -> Result<Claims, OidcError> {
        let metadata = self.metadata(asking, client.issuer).await?;
        let tokens = endpoint::exchange(asking.http, &metadata, client, (code, ticket)).await?;
        let verified = match id_token::verify(&metadata, client, (&tokens, &ticket.nonce), asking.now) {
            Err(Refusal::UnknownKey) => match self.refresh(asking, client.issuer).await {
                Some(metadata) => id_token::verify(&metadata, client, (&tokens, &ticket.nonce), asking.now),
                None => Err(Refusal::UnknownKey),
            },
            verified => verified,
        };
        let claims = verified.map_err(|refusal| match refusal {
            Refusal::UnknownKey => OidcError::rejected("the key of the ID token is not known"),
            Refusal::Wrong(why) => OidcError::Rejected(why),
        })?;
        match metadata.userinfo_endpoint() {
            Some(endpoint) if claims.email.is_none() => {
                let further: Claims = get(asking.http, endpoint.url(), tokens.access_token.as_str()).await?;
                // OpenID Connect Core, section 5.3.2.
                if further.sub != claims.sub {
                    return Err(OidcError::rejected("the userinfo is about somebody else"));
                }
                Ok(further)
            }
            Some(_) | None => Ok(claims),
        }
    }
}
