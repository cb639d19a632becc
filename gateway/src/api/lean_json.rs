//! JSON that is written as it goes, for what is asked for most: the usual payload of the API makes a tree of values first.

use poem::{IntoResponse, Response};
use poem_openapi::{
    ApiResponse,
    payload::{Json, Payload},
    registry::{MetaResponses, Registry},
    types::ToJSON,
};
use serde::Serialize;
use shared::fault::{Fault, INTERNAL};

use crate::problem::problem;

/// A JSON payload, described like [`Json`]. The two forms of its type have to agree; a test compares them.
pub struct LeanJson<T>(pub T);

impl<T: Serialize + Send> IntoResponse for LeanJson<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(text) => Response::builder().content_type(<Json<String> as Payload>::CONTENT_TYPE).body(text),
            Err(error) => problem(Fault::of(&INTERNAL).source(error)).into_response(),
        }
    }
}

impl<T: ToJSON + Serialize> ApiResponse for LeanJson<T> {
    fn meta() -> MetaResponses {
        Json::<T>::meta()
    }

    fn register(registry: &mut Registry) {
        <Json<T> as ApiResponse>::register(registry);
    }
}
