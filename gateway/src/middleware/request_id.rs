//! Every request gets an id of its own: in the log, in `X-Request-Id`, in problems and in the audit trail.
//!
//! An id from outside is not taken over, because two requests could then carry the same one.

use poem::{
    Request, Response,
    http::{HeaderName, HeaderValue},
};
use shared::client::Client;
use uuid::{Uuid, fmt::Hyphenated};

/// Name of the response header.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request that has passed the middleware.
#[must_use]
pub fn of(request: &Request) -> Option<Uuid> {
    request.data::<Client>().map(|client| client.request_id)
}

/// Tells the client the id of its request.
pub(super) fn tell(response: &mut Response, id: Uuid) {
    let mut text = [0; Hyphenated::LENGTH];
    if let Ok(value) = HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
}
