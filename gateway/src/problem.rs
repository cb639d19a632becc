//! The one renderer of errors: a [`Fault`] becomes an RFC 9457 document.
//!
//! ```text
//! flow error ─ Into<Fault> ─► problem() ─► poem::Error ─► middleware::edge ─► application/problem+json
//! ```
//!
//! The cause of a fault is written to the log once, at the edge, and never to a client.

use std::fmt::Write as _;

use poem::{
    Response,
    error::ResponseError,
    http::{HeaderValue, StatusCode, header},
};
use poem_openapi::{Object, types::ToJSON};
use shared::fault::Fault;
use uuid::Uuid;

/// Prefix of every `type`; the code follows.
pub const TYPE_PREFIX: &str = "https://gatepost.dev/problems#";

/// One occurrence of a problem, as in RFC 9457.
#[derive(Clone, Debug, Object)]
pub struct Problem {
    /// Identifies the kind of problem and leads to its description.
    #[oai(rename = "type")]
    pub type_uri: String,
    /// Short text for people, the same for every occurrence.
    pub title: String,
    /// HTTP status.
    pub status: i32,
    /// Stable code to match on.
    pub code: String,
    /// Text about this occurrence.
    #[oai(skip_serializing_if_is_none)]
    pub detail: Option<String>,
    /// The id of the request, also in the header `X-Request-Id` and in the log.
    #[oai(skip_serializing_if_is_none)]
    pub instance: Option<String>,
    /// When trying again makes sense.
    #[oai(skip_serializing_if_is_none)]
    pub retry_after_seconds: Option<i64>,
    /// The fields at fault.
    #[oai(skip_serializing_if_is_none)]
    pub errors: Option<Vec<FieldProblem>>,
}

/// One field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
pub struct FieldProblem {
    /// JSON pointer to the field (RFC 6901), such as `/password`.
    pub pointer: String,
    /// Stable code to match on.
    pub code: String,
    /// Text for people.
    pub detail: String,
}

/// A fault on its way to the edge.
#[derive(Debug, thiserror::Error)]
#[error("{}", fault.kind.title)]
pub struct Rejection {
    /// What the request failed of.
    pub fault: Fault,
    /// Fields that only the edge knows the names of.
    pub fields: Vec<FieldProblem>,
}

/// Turns the error of a flow into the error of a handler: `.map_err(problem)`.
pub fn problem(fault: impl Into<Fault>) -> poem::Error {
    Rejection::from(fault.into()).into()
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        Self { fault, fields: Vec::new() }
    }
}

impl ResponseError for Rejection {
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.fault.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn as_response(&self) -> Response {
        self.response(None)
    }
}

impl Rejection {
    /// The document that clients see.
    #[must_use]
    pub fn document(&self, request_id: Option<Uuid>) -> Problem {
        let kind = self.fault.kind;
        let known = self.fault.errors.iter().map(|field| FieldProblem {
            pointer: field.pointer.to_owned(),
            code: field.code.to_owned(),
            detail: field.detail.clone(),
        });
        let errors: Vec<_> = known.chain(self.fields.iter().cloned()).collect();
        Problem {
            type_uri: format!("{TYPE_PREFIX}{}", kind.code),
            title: kind.title.to_owned(),
            status: i32::from(kind.status),
            code: kind.code.to_owned(),
            detail: self.fault.detail.clone(),
            instance: request_id.map(|id| format!("urn:uuid:{id}")),
            retry_after_seconds: self.retry_after_seconds(),
            errors: (!errors.is_empty()).then_some(errors),
        }
    }

    /// The response that clients see.
    #[must_use]
    pub fn response(&self, request_id: Option<Uuid>) -> Response {
        let mut response = Response::builder()
            .status(self.status())
            .content_type("application/problem+json")
            .body(self.document(request_id).to_json_string());
        self.decorate(&mut response);
        response
    }

    /// Adds the headers that belong to the problem, whatever form its body has.
    pub fn decorate(&self, response: &mut Response) {
        if let Some(seconds) = self.retry_after_seconds() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.fault.kind.status == 401 {
            let challenge = HeaderValue::from_static("Bearer realm=\"gatepost\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
    }

    /// Writes the cause of a server error to the log.
    pub fn log(&self, request_id: Option<Uuid>) {
        if self.fault.kind.status < 500 {
            return;
        }
        let request_id = request_id.unwrap_or_default();
        let cause = self.chain();
        tracing::error!(%request_id, code = self.fault.kind.code, cause, "a request failed");
    }

    /// Whole seconds until trying again makes sense, rounded up.
    fn retry_after_seconds(&self) -> Option<i64> {
        let wait = self.fault.retry_after?;
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Some(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    fn chain(&self) -> String {
        let Some(first) = &self.fault.source else { return String::new() };
        let mut text = first.to_string();
        let mut next = first.source();
        while let Some(cause) = next {
            // A String takes every write.
            let _ = write!(text, ": {cause}");
            next = cause.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use shared::fault::{FieldError, INTERNAL, THROTTLED, VALIDATION};

    use super::*;
    use crate::problem_kinds::UNAUTHENTICATED;

    async fn body(response: Response) -> serde_json::Value {
        serde_json::from_str(&response.into_body().into_string().await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn absent_members_are_omitted() {
        let response = Rejection::from(Fault::of(&UNAUTHENTICATED)).response(None);
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.content_type(), Some("application/problem+json"));
        assert_eq!(response.header("www-authenticate"), Some("Bearer realm=\"gatepost\""));
        let expected = json!({
            "type": "https://gatepost.dev/problems#unauthenticated",
            "title": UNAUTHENTICATED.title, "status": 401, "code": "unauthenticated",
        });
        assert_eq!(body(response).await, expected);
    }

    #[tokio::test]
    async fn a_wait_is_rounded_up_and_in_the_header() {
        let fault = Fault::of(&THROTTLED).retry_after(Duration::from_millis(1200));
        let response = Rejection::from(fault).response(Some(Uuid::nil()));
        assert_eq!(response.header("retry-after"), Some("2"));
        let body = body(response).await;
        assert_eq!(body["retry_after_seconds"], 2);
        assert_eq!(body["instance"], "urn:uuid:00000000-0000-0000-0000-000000000000");
    }

    #[tokio::test]
    async fn fields_are_named_by_pointer() {
        let field = FieldError { pointer: "/password", code: "too_short", detail: "Too short.".to_owned() };
        let response = Rejection::from(Fault::of(&VALIDATION).errors(vec![field])).response(None);
        let errors = json!([{ "pointer": "/password", "code": "too_short", "detail": "Too short." }]);
        assert_eq!(body(response).await["errors"], errors);
    }

    #[tokio::test]
    async fn a_cause_is_for_the_log_only() {
        let rejection = Rejection::from(Fault::of(&INTERNAL).source("SELECT secret FROM users"));
        assert_eq!(rejection.chain(), "SELECT secret FROM users");
        assert!(!body(rejection.response(None)).await.to_string().contains("secret"));
    }
}
