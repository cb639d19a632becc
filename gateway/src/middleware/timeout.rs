//! A request that takes too long is answered 503; its transaction rolls back when its future is dropped.

use std::{future::Future, time::Duration};

use futures_util::FutureExt;
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};
use shared::fault::{Fault, UNAVAILABLE};

use crate::problem::problem;

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub struct Timeout(pub Duration);

impl<E: Endpoint> Middleware<E> for Timeout {
    type Output = TimeoutEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        TimeoutEndpoint { inner, limit: self.0 }
    }
}

/// The endpoint of [`Timeout`].
pub struct TimeoutEndpoint<E> {
    inner: E,
    limit: Duration,
}

impl<E: Endpoint> Endpoint for TimeoutEndpoint<E> {
    type Output = Response;

    fn call(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        tokio::time::timeout(self.limit, self.inner.call(request)).map(|outcome| match outcome {
            Ok(outcome) => outcome.map(IntoResponse::into_response),
            Err(elapsed) => Err(problem(Fault::of(&UNAVAILABLE).retry_after(Duration::from_secs(1)).source(elapsed))),
        })
    }
}
