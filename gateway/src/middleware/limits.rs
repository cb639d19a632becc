//! How large a request may be and what it may contain, before anything looks at it.
//!
//! | what | bound | otherwise |
//! |---|---|---|
//! | URL | `http.url_limit_bytes`, UTF-8 without U+0000 after decoding | 414, 400 |
//! | headers | `http.header_limit_bytes` in sum | 431 |
//! | body | `http.body_limit_bytes`, for SAML assertions 256 KiB | 413 |
//! | JSON body | strict, see [`super::json_check`] | 400 |
//! | form body | UTF-8 without U+0000 after decoding | 400 |

use std::{borrow::Cow, time::Duration};

use futures_util::StreamExt;
use poem::{
    Body, Endpoint, IntoResponse, Middleware, Request, Response, Result,
    http::{HeaderMap, Uri, header},
};
use shared::{
    config::HttpConfig,
    fault::{Fault, ProblemKind},
};

use super::json_check::{self, JsonFlaw};
use crate::{
    problem::problem,
    problem_kinds::{BODY_TOO_LARGE, HEADERS_TOO_LARGE, INVALID_JSON, INVALID_REQUEST, URI_TOO_LONG},
};

/// Addresses whose bodies may be larger than usual.
const LARGER_BODIES: [(&str, usize); 1] = [("/api/complete/saml", 256 * 1024)];

/// How much of a refused body is read, so that a client that is still sending gets to read the answer.
const DRAINED_BYTES: usize = 16 * 1024 * 1024;
const DRAINED_FOR: Duration = Duration::from_secs(1);

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    url: usize,
    headers: usize,
    body: usize,
}

impl Limits {
    /// The limits of the configuration.
    #[must_use]
    pub fn of(config: &HttpConfig) -> Self {
        Self { url: config.url_limit_bytes, headers: config.header_limit_bytes, body: config.body_limit_bytes }
    }

    fn check_head(&self, uri: &Uri, headers: &HeaderMap) -> Result<()> {
        let target = uri.path_and_query().map_or("", |target| target.as_str());
        if target.len() > self.url {
            return Err(refused(&URI_TOO_LONG));
        }
        let sum: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if sum > self.headers {
            return Err(refused(&HEADERS_TOO_LARGE));
        }
        if !is_plain_text(target.as_bytes()) {
            return Err(invalid("the URL contains U+0000 or is not UTF-8"));
        }
        Ok(())
    }

    fn body_limit(&self, path: &str) -> usize {
        let larger = LARGER_BODIES.iter().find(|(address, _)| *address == path);
        larger.map_or(self.body, |(_, limit)| self.body.max(*limit))
    }

    /// Reads the body, checks it, and puts it back.
    async fn check_body(&self, request: &mut Request) -> Result<()> {
        let body = request.take_body();
        if body.is_empty() && declared_length(request.headers()).is_none_or(|length| length == 0) {
            return Ok(());
        }
        request.set_body(body);
        let limit = self.body_limit(request.uri().path());
        let bytes = read_body(request, limit, (&BODY_TOO_LARGE, &INVALID_REQUEST), |_| Ok(())).await?;
        check_content(request.content_type().unwrap_or_default(), &bytes)?;
        request.set_body(bytes);
        Ok(())
    }
}

/// Reads a body of at most `limit` bytes. The kinds are the problems of one that is larger, and of one that breaks off.
/// `grow` is told of every part before it is kept.
///
/// # Errors
/// One of the kinds, or what `grow` says.
pub async fn read_body(
    request: &mut Request,
    limit: usize,
    (too_large, broken): (&'static ProblemKind, &'static ProblemKind),
    mut grow: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<u8>> {
    let body = request.take_body();
    if declared_length(request.headers()).is_some_and(|length| length > limit) {
        if !request.headers().contains_key(header::EXPECT) {
            drain(body).await;
        }
        return Err(refused(too_large));
    }
    let mut parts = std::pin::pin!(body.into_bytes_stream());
    let mut bytes = Vec::new();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| problem(Fault::of(broken).detail("the body could not be read to its end")))?;
        if bytes.len() + part.len() > limit {
            return Err(refused(too_large));
        }
        grow(part.len())?;
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

impl<E: Endpoint> Middleware<E> for Limits {
    type Output = LimitsEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        LimitsEndpoint { inner, limits: *self }
    }
}

/// The endpoint of [`Limits`].
pub struct LimitsEndpoint<E> {
    inner: E,
    limits: Limits,
}

impl<E: Endpoint> Endpoint for LimitsEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        self.limits.check_head(request.uri(), request.headers())?;
        self.limits.check_body(&mut request).await?;
        self.inner.call(request).await.map(IntoResponse::into_response)
    }
}

/// Whether a `Content-Type` means JSON: `application/json` or any `…+json`.
#[must_use]
pub fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// Whether a `Content-Type` means a form.
#[must_use]
pub fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn check_content(content_type: &str, body: &[u8]) -> Result<()> {
    if body.is_empty() {
        return Ok(());
    }
    if is_json(content_type) {
        return json_check::check(body).map_err(|flaw| match flaw {
            JsonFlaw::Syntax(reason) => problem(Fault::of(&INVALID_JSON).detail(reason)),
            JsonFlaw::Unacceptable(reason) => invalid(&reason),
        });
    }
    if is_form(content_type) && !is_plain_text(body) {
        return Err(invalid("the form contains U+0000 or is not UTF-8"));
    }
    Ok(())
}

/// Whether percent-encoded text is UTF-8 without U+0000.
fn is_plain_text(encoded: &[u8]) -> bool {
    let is_literal = !encoded.contains(&b'%');
    let decoded = if is_literal { Cow::Borrowed(encoded) } else { Cow::Owned(percent_decode(encoded)) };
    !decoded.contains(&0) && std::str::from_utf8(&decoded).is_ok()
}

fn percent_decode(encoded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&first, tail)) = rest.split_first() {
        let byte = match tail {
            [high, low, ..] if first == b'%' => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        decoded.push(byte.map_or(first, |(high, low)| high << 4 | low));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    decoded
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads and forgets what a client is still sending, up to a bound: closing at once could cost it the answer.
pub async fn drain(body: Body) {
    let mut stream = std::pin::pin!(body.into_bytes_stream());
    let mut left = DRAINED_BYTES;
    let reading = async {
        while let Some(Ok(chunk)) = stream.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    // Out of time is as good as read: the answer is sent either way.
    let _ = tokio::time::timeout(DRAINED_FOR, reading).await;
}

fn refused(kind: &'static ProblemKind) -> poem::Error {
    problem(Fault::of(kind))
}

fn invalid(reason: &str) -> poem::Error {
    problem(Fault::of(&INVALID_REQUEST).detail(reason))
}

#[cfg(test)]
mod tests {
    use poem::{EndpointExt, endpoint::make};

    use super::*;

    const LIMITS: Limits = Limits { url: 64, headers: 256, body: 32 };

    async fn status(request: Request) -> u16 {
        let echo = make(|mut request: Request| async move { request.take_body().into_string().await });
        echo.with(LIMITS).get_response(request).await.status().as_u16()
    }

    async fn post(content_type: &str, body: &'static [u8]) -> u16 {
        status(Request::builder().method(poem::http::Method::POST).content_type(content_type).body(body)).await
    }

    #[tokio::test]
    async fn a_get_without_a_length_passes() {
        assert_eq!(status(Request::builder().uri_str("/x").finish()).await, 200);
    }

    #[tokio::test]
    async fn sizes_are_bounded() {
        assert_eq!(post("text/plain", &[b'a'; 32]).await, 200);
        assert_eq!(post("text/plain", &[b'a'; 33]).await, 413);
        let declared = Request::builder().header("content-length", "33").finish();
        assert_eq!(status(declared).await, 413);
        assert_eq!(status(Request::builder().uri_str(format!("/{}", "a".repeat(64))).finish()).await, 414);
        assert_eq!(status(Request::builder().header("x-a", "a".repeat(256)).finish()).await, 431);
    }

    #[tokio::test]
    async fn assertions_may_be_larger() {
        let request = |path: &str| Request::builder().uri_str(path).body(vec![b'a'; 1000]);
        assert_eq!(status(request("/api/complete/saml")).await, 200);
        assert_eq!(status(request("/api/complete/saml2")).await, 413);
    }

    #[tokio::test]
    async fn the_null_character_is_refused_everywhere() {
        assert_eq!(post("application/json", br#"{"a":"\u0000"}"#).await, 400);
        assert_eq!(post("application/problem+json; charset=utf-8", b"\"\0\"").await, 400);
        assert_eq!(post("application/x-www-form-urlencoded", b"a=%00").await, 400);
        assert_eq!(status(Request::builder().uri_str("/x%00").finish()).await, 400);
        assert_eq!(status(Request::builder().uri_str("/x?a=%00").finish()).await, 400);
    }

    #[tokio::test]
    async fn text_is_utf_8() {
        assert_eq!(post("application/x-www-form-urlencoded", b"a=%C0%80").await, 400);
        assert_eq!(post("application/x-www-form-urlencoded", b"a=%C3%A9&b=100%").await, 200);
        assert_eq!(status(Request::builder().uri_str("/x?a=%ED%A0%80").finish()).await, 400);
    }

    #[tokio::test]
    async fn json_is_strict() {
        assert_eq!(post("application/json", br#"{"a":1}"#).await, 200);
        assert_eq!(post("Application/JSON", br#"{"a":1,"a":2}"#).await, 400);
        assert_eq!(post("application/json", b"{").await, 400);
        assert_eq!(post("application/json", b"").await, 200);
    }

    #[test]
    fn percent_encoding_is_read_once() {
        assert_eq!(percent_decode(b"a%2500%4"), b"a%00%4");
        assert!(is_plain_text(b"%2500"));
    }
}
