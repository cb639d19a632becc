//! What became of a personal API key: a refusal by an organization is audited, and an answer to a key in the query says
//! that this way is deprecated (RFC 9745).

use std::sync::{Arc, OnceLock};

use poem::{
    Endpoint, IntoResponse, Middleware, Request, Response, Result,
    http::{HeaderName, HeaderValue},
};
use shared::{
    api_keys::{self, ApiKeyId},
    client::Client,
    orgs::{API_KEY_IN_QUERY_NOT_ALLOWED, API_KEY_OUT_OF_REACH, API_KEYS_NOT_ALLOWED},
};

use crate::{problem::Rejection, security::presented, state::AppState};

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// Keys in the query have been deprecated since the first release, 2026-11-21.
const DEPRECATED_SINCE: HeaderValue = HeaderValue::from_static("@1795219200");

/// The good key that a request was found to carry, for those around the operation.
#[derive(Default)]
pub struct KeyUse(OnceLock<(ApiKeyId, Client)>);

impl KeyUse {
    /// Remembers the key of a request.
    pub fn remember(request: &Request, id: ApiKeyId) {
        if let (Some(seen), Some(client)) = (request.data::<Arc<Self>>(), request.data::<Client>()) {
            // A request has one key.
            let _ = seen.0.set((id, client.clone()));
        }
    }
}

/// The middleware.
#[derive(Clone)]
pub struct KeyTrace(pub AppState);

impl<E: Endpoint> Middleware<E> for KeyTrace {
    type Output = KeyTraceEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        KeyTraceEndpoint { inner, state: self.0.clone() }
    }
}

/// The endpoint of [`KeyTrace`].
pub struct KeyTraceEndpoint<E> {
    inner: E,
    state: AppState,
}

impl<E: Endpoint> Endpoint for KeyTraceEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let seen = Arc::new(KeyUse::default());
        request.extensions_mut().insert(Arc::clone(&seen));
        let is_in_query = presented::is_in_query(request.uri().query());
        match self.inner.call(request).await {
            Ok(response) => {
                let mut response = response.into_response();
                if is_in_query {
                    response.headers_mut().insert(DEPRECATION, DEPRECATED_SINCE);
                }
                Ok(response)
            }
            Err(error) => {
                if let (Some((id, client)), true) = (seen.0.get(), is_refusal(&error))
                    && let Err(cause) =
                        Box::pin(api_keys::note_refusal(&self.state.kernel, &self.state.keys.personal, client, *id))
                            .await
                {
                    tracing::warn!(%cause, "the refusal of an API key was not audited");
                }
                Err(error)
            }
        }
    }
}

fn is_refusal(error: &poem::Error) -> bool {
    const BY_ORGANIZATION: [&str; 3] =
        [API_KEYS_NOT_ALLOWED.code, API_KEY_IN_QUERY_NOT_ALLOWED.code, API_KEY_OUT_OF_REACH.code];
    error.downcast_ref::<Rejection>().is_some_and(|rejection| BY_ORGANIZATION.contains(&rejection.fault.kind.code))
}
