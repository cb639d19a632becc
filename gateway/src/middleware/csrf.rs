//! No state changes on behalf of another site.
//!
//! ```text
//! is_same_origin     Sec-Fetch-Site: same-origin | none      yes
//!                    Sec-Fetch-Site: anything else           no
//!                    absent: Origin equals http.public_url   yes; anything else, or no Origin at all: no
//! ```
//!
//! Every browser of the last years sends `Sec-Fetch-Site` (Fetch Metadata), every browser sends `Origin` with a POST. The
//! middleware refuses requests that are visibly foreign, whatever authenticates them; the security layer demands
//! [`is_same_origin`] where a cookie does, and so do the pages' forms.

use std::future::{Future, ready};

use futures_util::{TryFutureExt, future::Either};
use poem::{
    Endpoint, IntoResponse, Middleware, Request, Response, Result,
    http::{HeaderMap, HeaderValue, Method, header},
};
use shared::fault::Fault;

use crate::{pages, problem::problem, problem_kinds::CSRF_REJECTED};

/// Addresses that other sites are meant to post to: an identity provider's answer comes from its own origin, and is
/// bound to the browser by other means.
const CROSS_SITE_BY_DESIGN: [&str; 1] = ["/api/complete/saml"];

/// Whether a request was made by a page of `public_origin` or typed by the user.
#[must_use]
pub fn is_same_origin(headers: &HeaderMap, public_origin: &str) -> bool {
    match only(headers, "sec-fetch-site") {
        Sent::Once(site) => matches!(site.as_bytes(), b"same-origin" | b"none"),
        Sent::Often => false,
        Sent::Never => match only(headers, header::ORIGIN.as_str()) {
            Sent::Once(origin) => origin.as_bytes() == public_origin.as_bytes(),
            Sent::Never | Sent::Often => false,
        },
    }
}

/// Whether a request says of itself that another site made it. What the browser says in `Sec-Fetch-Site` decides; a form
/// on a page with `Referrer-Policy: no-referrer`, as ours have, is sent with `Origin: null` (Fetch, section 3.2).
#[must_use]
pub fn is_visibly_foreign(headers: &HeaderMap, public_origin: &str) -> bool {
    match only(headers, "sec-fetch-site") {
        Sent::Once(site) => !matches!(site.as_bytes(), b"same-origin" | b"none"),
        Sent::Often => true,
        Sent::Never => match only(headers, header::ORIGIN.as_str()) {
            Sent::Never => false,
            Sent::Once(origin) => origin.as_bytes() != public_origin.as_bytes(),
            Sent::Often => true,
        },
    }
}

/// Whether a browser that knows no `Sec-Fetch-Site`, or that reaches us without TLS, withheld the origin.
fn is_opaque(headers: &HeaderMap) -> bool {
    !headers.contains_key("sec-fetch-site")
        && matches!(only(headers, header::ORIGIN.as_str()), Sent::Once(origin) if origin.as_bytes() == b"null")
}

/// Whether a method is meant to change something.
#[must_use]
pub fn is_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// The error of a request that another site made.
#[must_use]
pub fn rejected(public_origin: &str) -> poem::Error {
    problem(Fault::of(&CSRF_REJECTED).detail(format!("Requests that change something must come from {public_origin}.")))
}

enum Sent<'a> {
    Never,
    Once(&'a HeaderValue),
    Often,
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Sent<'a> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Sent::Never,
        (Some(value), None) => Sent::Once(value),
        (Some(_), Some(_)) => Sent::Often,
    }
}

/// The middleware.
#[derive(Clone, Debug)]
pub struct RefuseForeign {
    /// Origin of `http.public_url`.
    pub public_origin: String,
}

impl<E: Endpoint> Middleware<E> for RefuseForeign {
    type Output = RefuseForeignEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        RefuseForeignEndpoint { inner, public_origin: self.public_origin.clone() }
    }
}

/// The endpoint of [`RefuseForeign`].
pub struct RefuseForeignEndpoint<E> {
    inner: E,
    public_origin: String,
}

impl<E: Endpoint> Endpoint for RefuseForeignEndpoint<E> {
    type Output = Response;

    // Without a future of its own, which would carry a copy of the request.
    fn call(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        if is_write(request.method()) && is_refused(request.uri().path(), request.headers(), &self.public_origin) {
            return Either::Left(ready(Err(rejected(&self.public_origin))));
        }
        Either::Right(self.inner.call(request).map_ok(IntoResponse::into_response))
    }
}

fn is_refused(path: &str, headers: &HeaderMap, public_origin: &str) -> bool {
    if CROSS_SITE_BY_DESIGN.contains(&path) {
        return false;
    }
    if path.starts_with("/api/") {
        return is_visibly_foreign(headers, public_origin);
    }
    // What a mailed token proves needs no cookie; signing in and out goes by one.
    match path {
        page if pages::SIGN_IN_PATHS.contains(&page) => !is_same_origin(headers, public_origin),
        page if pages::PATHS.contains(&page) => is_visibly_foreign(headers, public_origin) && !is_opaque(headers),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "https://auth.example.com";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn fetch_metadata_decides_where_it_is_sent() {
        for (site, expected) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false), ("x", false)]
        {
            assert_eq!(
                is_same_origin(&headers(&[("sec-fetch-site", site), ("origin", HOME)]), HOME),
                expected,
                "{site}"
            );
        }
    }

    #[test]
    fn without_it_the_origin_must_be_ours() {
        for (origin, expected) in [
            (HOME, true),
            ("null", false),
            ("http://auth.example.com", false),
            ("https://auth.example.com.evil.com", false),
            ("https://evil.auth.example.com", false),
            ("https://auth.example.com:8443", false),
        ] {
            assert_eq!(is_same_origin(&headers(&[("origin", origin)]), HOME), expected, "{origin}");
        }
        assert!(!is_same_origin(&headers(&[]), HOME));
    }

    #[test]
    fn a_header_sent_twice_is_refused() {
        let mut twice = headers(&[("sec-fetch-site", "same-origin")]);
        twice.append("sec-fetch-site", "cross-site".parse().unwrap());
        assert!(!is_same_origin(&twice, HOME));
        assert!(is_visibly_foreign(&twice, HOME));
        let mut twice = headers(&[("origin", HOME)]);
        twice.append("origin", HOME.parse().unwrap());
        assert!(!is_same_origin(&twice, HOME));
    }

    #[test]
    fn programs_without_an_origin_are_not_foreign() {
        assert!(!is_visibly_foreign(&headers(&[]), HOME));
        assert!(!is_visibly_foreign(&headers(&[("origin", HOME)]), HOME));
        assert!(is_visibly_foreign(&headers(&[("origin", "null")]), HOME));
        assert!(is_visibly_foreign(&headers(&[("sec-fetch-site", "cross-site")]), HOME));
    }

    #[test]
    fn forms_of_the_pages_need_proof_and_identity_providers_none() {
        for path in ["/login", "/login/email", "/login/two_factor", "/account/sign_out"] {
            assert!(is_refused(path, &headers(&[]), HOME), "{path}");
            assert!(is_refused(path, &headers(&[("origin", "null")]), HOME), "{path}");
            assert!(!is_refused(path, &headers(&[("sec-fetch-site", "same-origin"), ("origin", "null")]), HOME));
            assert!(!is_refused(path, &headers(&[("origin", HOME)]), HOME), "{path}");
        }
        assert!(is_refused("/reset", &headers(&[("origin", "https://evil.com")]), HOME));
        assert!(is_refused("/reset", &headers(&[("sec-fetch-site", "cross-site"), ("origin", "null")]), HOME));
        assert!(!is_refused("/reset", &headers(&[("origin", "null")]), HOME));
        assert!(!is_refused("/reset", &headers(&[("sec-fetch-site", "same-origin")]), HOME));
        assert!(!is_refused("/api/login", &headers(&[]), HOME));
        assert!(is_refused("/api/login", &headers(&[("origin", "https://evil.com")]), HOME));
        assert!(!is_refused("/api/complete/saml", &headers(&[("origin", "https://idp.example")]), HOME));
    }
}
