//! Where in a request a credential stands: the first place that has one decides.
//!
//! ```text
//! Authorization: Bearer    gpst_… a session, gpx_… a personal API key, gps_… a project's secret key
//! body, JSON or form       `personal_api_key`, `secret_api_key`
//! query                    `personal_api_key` (deprecated); a `secret_api_key` is refused
//! cookie                   a session
//! ```

use poem::{
    Body, Request, RequestBody, Result,
    http::{HeaderValue, header},
};
use serde_json::Value;
use shared::{
    api_keys::{self, Place},
    kernel::Kernel,
    secret_keys::{self, SecretKeyError},
    sessions::SessionError,
};
use url::form_urlencoded;

use crate::{middleware::limits, problem::problem};

/// Name of a personal API key in body and query.
pub const PERSONAL: &str = "personal_api_key";
/// Name of a project's secret key in the body.
pub const SECRET: &str = "secret_api_key";

/// A credential as it stands in a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Presented {
    /// A bearer session token.
    SessionToken(String),
    /// A personal API key.
    ApiKey(String, Place),
    /// A project's secret key.
    SecretKey(String),
    /// None but perhaps a cookie.
    Nothing,
}

/// The first credential of a request but a cookie. The body stays as it is.
///
/// # Errors
/// When the header is no bearer header, a secret key stands in the query, or the body cannot be read.
pub async fn find(kernel: &Kernel, request: &Request, body: &mut RequestBody) -> Result<Presented> {
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        return in_header(kernel, value);
    }
    if let Some(found) = in_body(request, body).await? {
        return Ok(found);
    }
    let query = request.uri().query().unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            PERSONAL => return Ok(Presented::ApiKey(value.into_owned(), Place::Query)),
            SECRET => return Err(problem(SecretKeyError::InQuery)),
            _ => {}
        }
    }
    Ok(Presented::Nothing)
}

/// What a bearer header holds.
///
/// # Errors
/// When it is no bearer header.
pub fn in_header(kernel: &Kernel, value: &HeaderValue) -> Result<Presented> {
    let invalid = || problem(SessionError::Invalid);
    let (scheme, credential) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(invalid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(invalid());
    }
    let text = credential.trim().to_owned();
    Ok(if api_keys::is_candidate(kernel, &text) {
        Presented::ApiKey(text, Place::Header)
    } else if text.starts_with(secret_keys::PREFIX) {
        Presented::SecretKey(text)
    } else {
        Presented::SessionToken(text)
    })
}

/// Whether a query has a personal API key.
#[must_use]
pub fn is_in_query(query: Option<&str>) -> bool {
    query.is_some_and(|query| form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == PERSONAL))
}

async fn in_body(request: &Request, body: &mut RequestBody) -> Result<Option<Presented>> {
    let content_type = request.content_type().unwrap_or_default();
    if body.is_none() || !(limits::is_json(content_type) || limits::is_form(content_type)) {
        return Ok(None);
    }
    let bytes = body.take()?.into_bytes().await?;
    let found = in_text(content_type, &bytes);
    *body = RequestBody::new(Body::from_bytes(bytes));
    Ok(found)
}

fn in_text(content_type: &str, bytes: &[u8]) -> Option<Presented> {
    let names = |name: &str| bytes.windows(name.len()).any(|window| window == name.as_bytes());
    if !names("_api_key") {
        return None;
    }
    let value_of = |name: &str| -> Option<String> {
        if limits::is_form(content_type) {
            return form_urlencoded::parse(bytes).find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        }
        let document: Value = serde_json::from_slice(bytes).ok()?;
        // A key that is no text is a bad key, not none.
        document.get(name).map(|value| value.as_str().unwrap_or_default().to_owned())
    };
    value_of(PERSONAL)
        .map(|text| Presented::ApiKey(text, Place::Body))
        .or_else(|| value_of(SECRET).map(Presented::SecretKey))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_json_and_forms() {
        let in_body = |text: &str| Some(Presented::ApiKey(text.to_owned(), Place::Body));
        assert_eq!(
            in_text("application/json", br#"{"personal_api_key":"gpx_a","secret_api_key":"b"}"#),
            in_body("gpx_a")
        );
        assert_eq!(in_text("application/json", br#"{"personal_api_key":7}"#), in_body(""));
        assert_eq!(in_text("application/x-www-form-urlencoded", b"a=1&personal_api_key=gpx%5Fa"), in_body("gpx_a"));
        let secret = Some(Presented::SecretKey("gps_a".to_owned()));
        assert_eq!(in_text("application/json", br#"{"secret_api_key":"gps_a"}"#), secret);
        for other in [r#"{"a":{"personal_api_key":"x"}}"#, "{", "[]", r#""personal_api_key""#] {
            assert_eq!(in_text("application/json", other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_query_is_searched_by_whole_names() {
        assert!(is_in_query(Some("a=1&personal_api_key=x")) && is_in_query(Some("personal%5Fapi_key=x")));
        assert!(!is_in_query(Some("a=personal_api_key")) && !is_in_query(None));
    }
}
