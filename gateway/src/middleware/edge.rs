//! Where every error becomes a problem: those of the flows, of this crate's middleware, of poem and of poem-openapi.
//!
//! The texts of the framework name Rust types, so none of them is passed on.

use poem::{
    Endpoint, IntoResponse, Middleware, Request, Response, Result,
    error::{MethodNotAllowedError, NotFoundError},
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use poem_openapi::error::{
    AuthorizationError, ContentTypeError, ParseMultipartError, ParseParamError, ParsePathError,
    ParseRequestPayloadError,
};
use shared::fault::{Fault, INTERNAL, ProblemKind, THROTTLED, UNAVAILABLE, VALIDATION};
use uuid::Uuid;

use super::request_id;
use crate::{
    operations,
    pages::render,
    problem::{FieldProblem, Rejection},
    problem_kinds::{
        BODY_TOO_LARGE, FORBIDDEN, INVALID_JSON, INVALID_REQUEST, METHOD_NOT_ALLOWED, NOT_FOUND, UNAUTHENTICATED,
        UNSUPPORTED_MEDIA_TYPE, URI_TOO_LONG,
    },
};

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub struct Edge;

impl<E: Endpoint> Middleware<E> for Edge {
    type Output = EdgeEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        EdgeEndpoint { inner }
    }
}

/// The endpoint of [`Edge`].
pub struct EdgeEndpoint<E> {
    inner: E,
}

impl<E: Endpoint> Endpoint for EdgeEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let request_id = request_id::of(&request);
        let path = request.uri().path().to_owned();
        let is_for_people = is_for_people(&path, request.headers());
        let error = match self.inner.call(request).await {
            Ok(response) => return Ok(response.into_response()),
            Err(error) if error.is_from_response() => return Ok(error.into_response()),
            Err(error) => error,
        };
        let rejection = rejection_of(error);
        rejection.log(request_id);
        let mut response = respond(&rejection, request_id, is_for_people);
        if rejection.fault.kind == &METHOD_NOT_ALLOWED
            && let Some(allowed) = operations::known().methods(&path)
            && let Ok(value) = HeaderValue::from_str(&allowed)
        {
            response.headers_mut().insert(header::ALLOW, value);
        }
        Ok(response)
    }
}

fn respond(rejection: &Rejection, request_id: Option<Uuid>, is_for_people: bool) -> Response {
    if is_for_people { render::error_page(rejection, request_id) } else { rejection.response(request_id) }
}

/// Whether somebody looks at the answer in a browser.
fn is_for_people(path: &str, headers: &HeaderMap) -> bool {
    accepts_pages(headers) && path != "/api" && !path.starts_with("/api/")
}

/// Whether the answer may be a page.
#[must_use]
pub fn accepts_pages(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// What a request failed of, whoever noticed it.
#[must_use]
pub fn rejection_of(error: poem::Error) -> Rejection {
    match error.downcast::<Rejection>() {
        Ok(rejection) => rejection,
        Err(error) => of_api(&error).unwrap_or_else(|| of_framework(&error)),
    }
}

/// The errors of poem-openapi.
fn of_api(error: &poem::Error) -> Option<Rejection> {
    if let Some(parameter) = error.downcast_ref::<ParseParamError>() {
        return Some(parameter_rejection(parameter));
    }
    if error.is::<ParseRequestPayloadError>() || error.is::<ParseMultipartError>() {
        return Some(Fault::of(&VALIDATION).into());
    }
    // An id that cannot exist is not different from one that does not.
    if error.is::<ParsePathError>() {
        return Some(Fault::of(&NOT_FOUND).into());
    }
    if error.is::<ContentTypeError>() {
        return Some(Fault::of(&UNSUPPORTED_MEDIA_TYPE).into());
    }
    error.is::<AuthorizationError>().then(|| Fault::of(&UNAUTHENTICATED).into())
}

fn parameter_rejection(error: &ParseParamError) -> Rejection {
    let is_missing = error.reason.contains("expects an input value");
    let (code, detail) = if is_missing {
        ("required", "This parameter is required.")
    } else {
        ("invalid", "This parameter does not have a valid value.")
    };
    let field = FieldProblem { pointer: format!("/{}", error.name), code: code.to_owned(), detail: detail.to_owned() };
    Rejection { fault: Fault::of(&VALIDATION), fields: vec![field] }
}

/// The errors of poem, by type where it matters and by status otherwise.
fn of_framework(error: &poem::Error) -> Rejection {
    if error.is::<NotFoundError>() {
        return Fault::of(&NOT_FOUND).into();
    }
    if error.is::<MethodNotAllowedError>() {
        return Fault::of(&METHOD_NOT_ALLOWED).into();
    }
    let kind = kind_of(error.status());
    let fault = Fault::of(kind);
    if kind.status >= 500 { fault.source(error.to_string()).into() } else { fault.into() }
}

fn kind_of(status: StatusCode) -> &'static ProblemKind {
    match status.as_u16() {
        401 => &UNAUTHENTICATED,
        403 => &FORBIDDEN,
        404 => &NOT_FOUND,
        405 => &METHOD_NOT_ALLOWED,
        413 => &BODY_TOO_LARGE,
        414 => &URI_TOO_LONG,
        415 => &UNSUPPORTED_MEDIA_TYPE,
        422 => &VALIDATION,
        429 => &THROTTLED,
        503 => &UNAVAILABLE,
        400..=499 => &INVALID_REQUEST,
        _ => &INTERNAL,
    }
}

/// The problem of a body that is empty where the operation needs one.
#[must_use]
pub fn empty_body() -> Rejection {
    Fault::of(&INVALID_JSON).detail("the body is empty").into()
}

#[cfg(test)]
mod tests {
    use std::io;

    use poem::error::InternalServerError;

    use super::*;
    use crate::problem::problem;

    fn code(error: impl Into<poem::Error>) -> &'static str {
        rejection_of(error.into()).fault.kind.code
    }

    #[test]
    fn every_error_has_its_code() {
        assert_eq!(code(NotFoundError), "not_found");
        assert_eq!(code(MethodNotAllowedError), "method_not_allowed");
        assert_eq!(code(AuthorizationError), "unauthenticated");
        assert_eq!(code(ContentTypeError::ExpectContentType), "unsupported_media_type");
        assert_eq!(code(ParseRequestPayloadError { reason: String::new() }), "validation_failed");
        assert_eq!(code(ParsePathError { name: "job_id", reason: String::new() }), "not_found");
        assert_eq!(code(StatusCode::PAYLOAD_TOO_LARGE), "body_too_large");
        assert_eq!(code(StatusCode::URI_TOO_LONG), "uri_too_long");
        assert_eq!(code(StatusCode::IM_A_TEAPOT), "invalid_request");
        assert_eq!(code(StatusCode::BAD_GATEWAY), "internal_error");
        assert_eq!(code(problem(Fault::of(&THROTTLED))), "throttled");
    }

    #[test]
    fn texts_of_the_framework_stay_inside() {
        let reason = "Type \"LoginRequest\" expects an input value.".to_owned();
        let rejection = rejection_of(ParseParamError { name: "limit", reason }.into());
        let document = format!("{:?}", rejection.document(None));
        assert!(document.contains("/limit") && document.contains("required"), "{document}");
        assert!(!document.contains("LoginRequest"), "{document}");

        let rejection = rejection_of(InternalServerError(io::Error::other("/var/lib/secret")));
        assert!(!format!("{:?}", rejection.document(None)).contains("secret"));
    }

    #[test]
    fn browsers_get_pages_outside_the_api() {
        let mut headers = HeaderMap::new();
        assert!(!is_for_people("/reset", &headers));
        headers.insert(header::ACCEPT, "text/html,application/xhtml+xml".parse().unwrap());
        assert!(is_for_people("/reset", &headers));
        assert!(!is_for_people("/api/reset", &headers));
        assert!(!is_for_people("/api", &headers));
    }
}
