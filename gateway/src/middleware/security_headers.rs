//! What every response tells browsers, errors included.
//!
//! No response under `/api` carries a CORS header: a page of another origin can neither read an answer nor send a
//! request that needs a preflight. A response that sets one of these headers itself keeps it.

use poem::{
    Response,
    http::{HeaderMap, HeaderName, HeaderValue, header},
};

/// Policy of responses that load nothing (Content Security Policy Level 3).
pub const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Policy of the pages: one stylesheet and images of this origin, no scripts.
pub const PAGE: &str = "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; \
                        base-uri 'none'; form-action 'self'";

const ALWAYS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, NOTHING),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

const HSTS: (HeaderName, &str) = (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000");

/// What the answers of an installation say.
pub(super) fn of(is_https: bool) -> HeaderMap {
    let all = ALWAYS.into_iter().chain(is_https.then_some(HSTS));
    all.map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

/// Adds what an answer does not say of itself.
pub(super) fn add(response: &mut Response, all: &HeaderMap) {
    let headers = response.headers_mut();
    headers.remove(header::SERVER);
    // Copying the table costs less than to find a place for each of them.
    let own = std::mem::replace(headers, all.clone());
    headers.extend(own);
}
