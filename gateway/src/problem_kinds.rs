//! The problems of the edge: what can be wrong with a request before a feature sees it.

pub use shared::fault::FORBIDDEN;
use shared::fault::ProblemKind;
pub use shared::sessions::{SESSION_EXPIRED, UNAUTHENTICATED};

/// The request is not one that this server accepts, whatever its address.
pub const INVALID_REQUEST: ProblemKind = ProblemKind {
    code: "invalid_request",
    status: 400,
    title: "Invalid request",
    help: "The request is malformed: it contains U+0000, names a JSON member twice, nests too deeply, or its URL is not UTF-8.",
};

/// The body is not JSON.
pub const INVALID_JSON: ProblemKind = ProblemKind {
    code: "invalid_json",
    status: 400,
    title: "The body is not valid JSON",
    help: "Send one JSON value in UTF-8 (RFC 8259), without unpaired surrogates.",
};

/// A cross-site request.
pub const CSRF_REJECTED: ProblemKind = ProblemKind {
    code: "csrf_rejected",
    status: 403,
    title: "The request comes from another site",
    help: "Requests that change something must come from the origin of `http.public_url` when a cookie authenticates them.",
};

/// An API key where keys are not accepted.
pub const API_KEY_NOT_ACCEPTED: ProblemKind = ProblemKind {
    code: "api_key_not_accepted",
    status: 403,
    title: "This operation does not accept API keys",
    help: "The operation has no scope (`x-scope` in the API document), so that no key can be given the right to it. Sign in to use it.",
};

/// A key without the scope that the operation needs.
pub const MISSING_SCOPE: ProblemKind = ProblemKind {
    code: "missing_scope",
    status: 403,
    title: "The key lacks a scope",
    help: "`detail` names the scope that the operation needs; `x-scope` in the API document does, too.",
};

/// A credential without a user where one is needed.
pub const USER_REQUIRED: ProblemKind = ProblemKind {
    code: "user_required",
    status: 403,
    title: "This operation needs a user",
    help: "A project's secret key acts for the project and has no user. Use a personal API key or a session.",
};

/// Nothing is at this address.
pub const NOT_FOUND: ProblemKind = ProblemKind {
    code: "not_found",
    status: 404,
    title: "Not found",
    help: "There is nothing at this address, or it belongs to somebody else.",
};

/// The address does not support the method.
pub const METHOD_NOT_ALLOWED: ProblemKind = ProblemKind {
    code: "method_not_allowed",
    status: 405,
    title: "Method not allowed",
    help: "The address exists; the header `Allow` lists its methods.",
};

/// The body is too large.
pub const BODY_TOO_LARGE: ProblemKind = ProblemKind {
    code: "body_too_large",
    status: 413,
    title: "The body is too large",
    help: "The body is larger than `http.body_limit_bytes`.",
};

/// The URL is too long.
pub const URI_TOO_LONG: ProblemKind = ProblemKind {
    code: "uri_too_long",
    status: 414,
    title: "The URL is too long",
    help: "The URL is longer than `http.url_limit_bytes`.",
};

/// The body has a media type that the operation does not read.
pub const UNSUPPORTED_MEDIA_TYPE: ProblemKind = ProblemKind {
    code: "unsupported_media_type",
    status: 415,
    title: "Unsupported media type",
    help: "Send the body as `application/json`, with that `Content-Type`.",
};

/// The headers are too large.
pub const HEADERS_TOO_LARGE: ProblemKind = ProblemKind {
    code: "headers_too_large",
    status: 431,
    title: "The headers are too large",
    help: "All header names and values together are larger than `http.header_limit_bytes`.",
};

/// The kinds of this module; those that it takes over are in the list of their slice.
pub const PROBLEMS: &[&ProblemKind] = &[
    &INVALID_REQUEST,
    &INVALID_JSON,
    &CSRF_REJECTED,
    &API_KEY_NOT_ACCEPTED,
    &MISSING_SCOPE,
    &USER_REQUIRED,
    &NOT_FOUND,
    &METHOD_NOT_ALLOWED,
    &BODY_TOO_LARGE,
    &URI_TOO_LONG,
    &UNSUPPORTED_MEDIA_TYPE,
    &HEADERS_TOO_LARGE,
];

/// Every kind of problem that this server can answer with.
#[must_use]
pub fn all() -> Vec<&'static ProblemKind> {
    [shared::problems().as_slice(), PROBLEMS].concat()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_code_stands_for_one_kind() {
        let mut codes = HashSet::new();
        for kind in all() {
            assert!(codes.insert(kind.code), "{} is declared twice", kind.code);
            assert!((400..600).contains(&kind.status), "{}", kind.code);
        }
    }
}
