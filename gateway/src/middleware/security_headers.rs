//! What every response tells browsers, errors included.
//!
//! No response under `/api` carries a CORS header: a page of another origin can neither read an answer nor send a
//! request that needs a preflight. A response that sets one of these headers itself keeps it.

use poem::{
    Response,
    http::{HeaderName, HeaderValue, header},
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

const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// Adds what an answer does not say of itself.
pub(super) fn add(response: &mut Response, is_https: bool) {
    let headers = response.headers_mut();
    headers.remove(header::SERVER);
    headers.reserve(ALWAYS.len() + 1);
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_https {
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(HSTS);
    }
}
