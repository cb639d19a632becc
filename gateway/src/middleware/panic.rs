//! A panic fails its request and nothing else.

use std::{any::Any, future::Future, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};
use shared::fault::{Fault, INTERNAL};

use crate::problem::problem;

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub struct CatchPanic;

impl<E: Endpoint> Middleware<E> for CatchPanic {
    type Output = CatchPanicEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        CatchPanicEndpoint { inner }
    }
}

/// The endpoint of [`CatchPanic`].
pub struct CatchPanicEndpoint<E> {
    inner: E,
}

impl<E: Endpoint> Endpoint for CatchPanicEndpoint<E> {
    type Output = Response;

    fn call(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        AssertUnwindSafe(self.inner.call(request)).catch_unwind().map(|outcome| match outcome {
            Ok(outcome) => outcome.map(IntoResponse::into_response),
            Err(payload) => Err(problem(Fault::of(&INTERNAL).source(format!("panic: {}", message(&*payload))))),
        })
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
