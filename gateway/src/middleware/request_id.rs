//! Every request gets an id of its own: in the log, in `X-Request-Id`, in problems and in the audit trail.
//!
//! An id from outside is not taken over, because two requests could then carry the same one.

use poem::{
    Endpoint, Middleware, Request, Response, Result,
    http::{HeaderName, HeaderValue},
};
use uuid::Uuid;

/// Name of the response header.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request that carries it among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub Uuid);

impl RequestId {
    /// The id of a request that has passed the middleware.
    #[must_use]
    pub fn of(request: &Request) -> Option<Uuid> {
        request.data::<Self>().map(|id| id.0)
    }
}

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub struct AssignRequestId;

impl<E: Endpoint> Middleware<E> for AssignRequestId {
    type Output = AssignRequestIdEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        AssignRequestIdEndpoint { inner }
    }
}

/// The endpoint of [`AssignRequestId`].
pub struct AssignRequestIdEndpoint<E> {
    inner: E,
}

impl<E: Endpoint> Endpoint for AssignRequestIdEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let id = shared::ids::next();
        request.set_data(RequestId(id));
        let mut response = self.inner.get_response(request).await;
        if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        Ok(response)
    }
}
