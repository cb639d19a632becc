//! Requests to endpoints of an issuer: for tokens, and with one.

use base64::{Engine, engine::general_purpose::STANDARD};
use openidconnect::core::CoreClientAuthMethod;
use reqwest::{
    Method, Request,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde::{Deserialize, de::DeserializeOwned};
use url::{Url, form_urlencoded};

use super::{Client, Metadata, OidcError, Ticket};
use crate::http_client::HttpClient;

/// What a token endpoint answers.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub access_token: String,
    #[serde(default)]
    pub id_token: String,
}

/// Gives the code for tokens.
pub(super) async fn exchange(
    http: &HttpClient,
    metadata: &Metadata,
    client: Client<'_>,
    code: (&str, &Ticket),
) -> Result<Tokens, OidcError> {
    let endpoint = metadata.token_endpoint().ok_or_else(|| OidcError::rejected("there is no token endpoint"))?;
    let methods = metadata.token_endpoint_auth_methods_supported();
    let is_in_body = methods.is_some_and(|methods| {
        !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
            && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
    });
    redeem(http, endpoint.url(), client, (code, is_in_body)).await
}

/// Asks a token endpoint (RFC 6749, section 4.1.3). The secret goes in the header, or in the body.
///
/// # Errors
/// When there is no answer, or the code is refused.
pub async fn redeem<T: DeserializeOwned>(
    http: &HttpClient,
    endpoint: &Url,
    client: Client<'_>,
    code: ((&str, &Ticket), bool),
) -> Result<T, OidcError> {
    let request = token_request(endpoint, client, code)?;
    ask(http, request).await
}

fn token_request(
    endpoint: &Url,
    client: Client<'_>,
    ((code, ticket), is_in_body): ((&str, &Ticket), bool),
) -> Result<Request, OidcError> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("redirect_uri", &ticket.redirect_uri)
        .append_pair("code_verifier", ticket.verifier.expose());
    let mut request = Request::new(Method::POST, endpoint.clone());
    if is_in_body {
        form.append_pair("client_id", client.id).append_pair("client_secret", client.secret.expose());
    } else {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(client.id), encode(client.secret.expose()));
        set(&mut request, AUTHORIZATION, &format!("Basic {}", STANDARD.encode(pair)))?;
    }
    set(&mut request, CONTENT_TYPE, "application/x-www-form-urlencoded")?;
    *request.body_mut() = Some(form.finish().into());
    Ok(request)
}

/// Reads what a resource says to the owner of a token.
///
/// # Errors
/// When there is no answer, or it is a refusal.
pub async fn get<T: DeserializeOwned>(http: &HttpClient, url: &Url, access_token: &str) -> Result<T, OidcError> {
    let mut request = Request::new(Method::GET, url.clone());
    set(&mut request, AUTHORIZATION, &format!("Bearer {access_token}"))?;
    ask(http, request).await
}

fn set(request: &mut Request, name: HeaderName, value: &str) -> Result<(), OidcError> {
    let value = HeaderValue::from_str(value).map_err(|_| OidcError::rejected("a value is no header"))?;
    request.headers_mut().insert(name, value);
    Ok(())
}

async fn ask<T: DeserializeOwned>(http: &HttpClient, mut request: Request) -> Result<T, OidcError> {
    set(&mut request, ACCEPT, "application/json")?;
    let place = request.url().path().to_owned();
    let answer = http.send(request).await?;
    if answer.status.is_server_error() || answer.status.is_redirection() || answer.status.as_u16() == 429 {
        return Err(OidcError::Unavailable(format!("{place} answers {}", answer.status)));
    }
    let body = Some(&answer.body).filter(|_| answer.status.is_success());
    // Never with the body: it may hold tokens.
    let parsed = body.and_then(|body| serde_json::from_slice(body).ok());
    parsed.ok_or_else(|| OidcError::Rejected(format!("{place} answers {} and not what was asked", answer.status)))
}
