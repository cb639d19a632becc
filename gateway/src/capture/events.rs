//! Deliveries of events: read within limits, handed in, and answered when they are durable.

use poem::{Request, Response, Result, http::header};
use serde_json::json;
use shared::{
    capture::{self, Batch, CaptureError, Delivery, EVENTS_TOO_LARGE, INVALID_EVENTS, Receipt},
    fault::{Fault, INTERNAL},
    secret::Redacted,
    secret_keys,
};

use crate::{AppState, middleware::limits, problem::problem};

/// Bodies that are longer are unpacked and read on a thread of their own: even a bomb of this size is quick.
const QUICK_BYTES: usize = 16 * 1024;

/// Takes a delivery of events.
pub async fn take(mut request: Request, may_lack_names: bool, is_batch: bool) -> Result<Response> {
    let state = request.data::<AppState>().cloned().ok_or_else(|| problem(Fault::of(&INTERNAL)))?;
    let config = &state.kernel.config.capture;
    let limit = if is_batch { config.batch_limit_bytes } else { config.body_limit_bytes };
    let mut reserved = state.capture.reserve(0).map_err(problem)?;
    let kinds = (&EVENTS_TOO_LARGE, &INVALID_EVENTS);
    let grow = |bytes| state.capture.reserve(bytes).map(|more| reserved.add(more)).map_err(problem);
    let body = limits::read_body(&mut request, limit, kinds, grow).await?;
    let sent = Sent {
        body,
        query: request.uri().query().unwrap_or_default().to_owned(),
        content_type: text(&request, &header::CONTENT_TYPE),
        may_lack_names,
    };
    let secret_key = secret_key(&request);
    let mut batch = sent.read(&state).await.map_err(problem)?;
    batch.secret_key = secret_key.or(batch.secret_key);
    let receipt = state.capture.deliver(&state.kernel, batch, reserved).await.map_err(problem)?;
    Ok(answer(receipt))
}

/// A project's secret key, which servers present to merge persons that are identified. Nothing else that `Authorization`
/// may hold says anything here.
fn secret_key(request: &Request) -> Option<Redacted<String>> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credential) = value.split_once(' ')?;
    let is_secret = scheme.eq_ignore_ascii_case("bearer") && credential.trim().starts_with(secret_keys::PREFIX);
    is_secret.then(|| Redacted::new(credential.trim().to_owned()))
}

fn answer(receipt: Receipt) -> Response {
    let body = match receipt {
        Receipt::Stored => json!({ "status": 1 }),
        Receipt::QuotaLimited => json!({ "status": 1, "quota_limited": ["events"] }),
    };
    Response::builder().content_type("application/json").body(body.to_string())
}

fn text(request: &Request, name: &header::HeaderName) -> String {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// A delivery as it came.
struct Sent {
    body: Vec<u8>,
    query: String,
    content_type: String,
    may_lack_names: bool,
}

impl Sent {
    async fn read(self, state: &AppState) -> Result<Batch, CaptureError> {
        let received_at = state.kernel.clock.now();
        let unpacked_limit = state.kernel.config.capture.unpacked_limit_bytes;
        let is_quick = self.body.len() <= QUICK_BYTES;
        let reading = move || {
            capture::read(&Delivery {
                body: &self.body,
                query: &self.query,
                content_type: &self.content_type,
                received_at,
                may_lack_names: self.may_lack_names,
                unpacked_limit,
            })
        };
        if is_quick {
            return reading();
        }
        let read = tokio::task::spawn_blocking(reading).await;
        read.unwrap_or_else(|error| Err(CaptureError::NotDurable(error.to_string())))
    }
}
