//! Names the fields when a body does not fit: the framework's own text names a Rust type and often no field.
//!
//! It runs only after an operation has refused its body, and holds the body against the schema in the API document.

use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result, http::Method};
use poem_openapi::error::ParseRequestPayloadError;
use serde_json::Value;
use shared::fault::{Fault, VALIDATION};

use super::{edge, limits::is_json};
use crate::{
    operations::{self, escape},
    problem::{FieldProblem, Rejection},
};

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub struct Diagnose;

impl<E: Endpoint> Middleware<E> for Diagnose {
    type Output = DiagnoseEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        DiagnoseEndpoint { inner }
    }
}

/// The endpoint of [`Diagnose`].
pub struct DiagnoseEndpoint<E> {
    inner: E,
}

impl<E: Endpoint> Endpoint for DiagnoseEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        if !request.content_type().is_some_and(is_json) {
            return self.inner.call(request).await.map(IntoResponse::into_response);
        }
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let body = request.take_body().into_bytes().await?;
        request.set_body(body.clone());
        let outcome = self.inner.call(request).await.map(IntoResponse::into_response);
        outcome.map_err(|error| match error.downcast_ref::<ParseRequestPayloadError>() {
            Some(refused) => explain(&method, &path, &body, &refused.reason).into(),
            None => error,
        })
    }
}

fn explain(method: &Method, path: &str, body: &[u8], reason: &str) -> Rejection {
    if body.is_empty() {
        return edge::empty_body();
    }
    let value = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let mut fields = operations::known().mismatches(method.as_str(), path, &value);
    if fields.is_empty() {
        fields.push(named_in(reason));
    }
    Rejection { fault: Fault::of(&VALIDATION), fields }
}

/// The field that the framework's text names, or the whole body.
fn named_in(reason: &str) -> FieldProblem {
    let name_after = |marker: &str| {
        let (_, rest) = reason.split_once(marker)?;
        rest.split_once('`').map(|(name, _)| format!("/{}", escape(name)))
    };
    if let Some(pointer) = name_after("unknown field `") {
        return FieldProblem {
            pointer,
            code: "unknown".to_owned(),
            detail: "The operation does not know this field.".to_owned(),
        };
    }
    FieldProblem {
        pointer: name_after("field `").unwrap_or_default(),
        code: "invalid".to_owned(),
        detail: "The value is not valid here.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_taken_from_the_text_and_nothing_else() {
        let unknown = named_in("failed to parse \"LoginRequest\": unknown field `is_admin`.");
        assert_eq!((unknown.pointer.as_str(), unknown.code.as_str()), ("/is_admin", "unknown"));
        let invalid = named_in("failed to parse \"LoginRequest\": field `email` verification failed. maxLength(3)");
        assert_eq!((invalid.pointer.as_str(), invalid.code.as_str()), ("/email", "invalid"));
        let other = named_in("Expected input type \"LoginRequest\", found 5.");
        assert_eq!((other.pointer.as_str(), other.code.as_str()), ("", "invalid"));
        assert!(!format!("{other:?}").contains("LoginRequest"));
    }
}
