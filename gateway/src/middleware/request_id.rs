//! Every request gets an id of its own: in the log, in `X-Request-Id`, in problems and in the audit trail.
//!
//! An id from outside is not taken over, because two requests could then carry the same one.

use poem::{
    Request, Response,
    http::{HeaderName, HeaderValue},
};
use uuid::{Uuid, fmt::Hyphenated};

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

/// Gives a request its id.
pub(super) fn assign(request: &mut Request) -> Uuid {
    let id = shared::ids::next();
    request.set_data(RequestId(id));
    id
}

/// Tells the client the id of its request.
pub(super) fn tell(response: &mut Response, id: Uuid) {
    let mut text = [0; Hyphenated::LENGTH];
    if let Ok(value) = HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
}
