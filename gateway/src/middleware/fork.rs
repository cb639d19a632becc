//! Where requests that only read part from those that change something: the former go to the routes at once.

use std::{future::Future, sync::Arc};

use futures_util::{TryFutureExt, future::Either};
use poem::{Endpoint, EndpointExt, IntoResponse, Middleware, Request, Response, Result, endpoint::BoxEndpoint};

use super::csrf::is_write;

/// An endpoint with layers that only requests pass that change something.
pub struct Fork<E> {
    inner: Arc<E>,
    layered: BoxEndpoint<'static, Response>,
}

impl<E: Endpoint + 'static> Fork<E> {
    /// Puts layers around an endpoint.
    pub fn new<L>(inner: E, layers: L) -> Self
    where
        L: Middleware<Arc<E>>,
        L::Output: Endpoint<Output = Response> + 'static,
    {
        let inner = Arc::new(inner);
        Self { layered: Arc::clone(&inner).with(layers).boxed(), inner }
    }
}

impl<E: Endpoint> Endpoint for Fork<E> {
    type Output = Response;

    fn call(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        if is_write(request.method()) {
            Either::Left(self.layered.call(request))
        } else {
            Either::Right(self.inner.call(request).map_ok(IntoResponse::into_response))
        }
    }
}
