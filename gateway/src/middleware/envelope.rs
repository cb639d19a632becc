//! What is done to every request before anything looks at it, and to every answer at the end.
//!
//! ```text
//! request    a fresh id ─► whose it is ─► one spelling of the path ─► what handlers can reach
//! answer     security headers ─► the id
//! ```
//!
//! One layer for all: each layer of its own would carry a copy of the request through every call. What is inside has turned
//! every error into an answer.

use std::sync::Arc;

use ipnet::IpNet;
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result, http::HeaderMap};

use shared::ids;

use super::{client, path, request_id, security_headers};
use crate::state::AppState;

/// The middleware.
#[derive(Clone)]
pub struct Envelope {
    state: AppState,
    /// Whose `X-Forwarded-For` is believed.
    trusted_proxies: Arc<[IpNet]>,
    /// What every answer says.
    security_headers: Arc<HeaderMap>,
}

impl Envelope {
    /// For the installation of this state.
    #[must_use]
    pub fn new(state: AppState) -> Self {
        let http = &state.kernel.config.http;
        let trusted_proxies = http.trusted_proxies.as_slice().into();
        let security_headers = Arc::new(security_headers::of(http.is_https()));
        Self { state, trusted_proxies, security_headers }
    }
}

impl<E: Endpoint> Middleware<E> for Envelope {
    type Output = EnvelopeEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        EnvelopeEndpoint { inner, envelope: self.clone() }
    }
}

/// The endpoint of [`Envelope`].
pub struct EnvelopeEndpoint<E> {
    inner: E,
    envelope: Envelope,
}

impl<E: Endpoint> Endpoint for EnvelopeEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let Envelope { state, trusted_proxies, security_headers } = &self.envelope;
        let id = ids::random();
        client::identify(&mut request, trusted_proxies, id);
        path::normalise(&mut request);
        request.set_data(state.clone());
        let mut response = self.inner.call(request).await?.into_response();
        security_headers::add(&mut response, security_headers);
        request_id::tell(&mut response, id);
        Ok(response)
    }
}
