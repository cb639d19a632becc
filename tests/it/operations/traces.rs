//! One trace from the click to the inbox, as a collector of the test's own receives it.
//!
//! ```text
//! request (HTTP) ─► relay (publish) ─► job (worker) ─► smtp         one trace id, each span under the one that caused it
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use harness::{Installation, PASSWORD, free_port, http_client, smtp::SmtpServer, works::PATIENCE};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, trace::v1::Span,
};
use poem::{Body, EndpointExt, Route, Server, handler, listener::TcpListener, post, web::Data};
use prost::Message;
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use crate::faults::{full, stack::Stack};

/// A span with the service that reported it.
type Reported = (String, Span);

/// OTLP over HTTP with protobuf bodies, as any collector takes it.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Reported>>>,
    _task: AbortOnDropHandle<()>,
}

#[handler]
async fn take(body: Body, spans: Data<&Arc<Mutex<Vec<Reported>>>>) -> poem::http::StatusCode {
    let bytes = body.into_vec().await.unwrap_or_default();
    let Ok(export) = ExportTraceServiceRequest::decode(bytes.as_slice()) else {
        return poem::http::StatusCode::BAD_REQUEST;
    };
    let mut spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
    for resource in export.resource_spans {
        let attributes = resource.resource.unwrap_or_default().attributes;
        let service = attributes.iter().find(|attribute| attribute.key == "service.name");
        let service = service.and_then(|attribute| match attribute.value.clone()?.value {
            Some(Value::StringValue(name)) => Some(name),
            _ => None,
        });
        let reported = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(reported.map(|span| (service.clone().unwrap_or_default(), span)));
    }
    poem::http::StatusCode::OK
}

impl Collector {
    fn start() -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let spans = Arc::<Mutex<Vec<Reported>>>::default();
        let app = Route::new().at("/v1/traces", post(take)).data(Arc::clone(&spans));
        let server = Server::new(TcpListener::bind(listen.clone()));
        #[expect(clippy::disallowed_methods, reason = "the one task of this collector; its handle aborts it on drop")]
        let task = tokio::spawn(async move { drop(server.run(app).await) });
        Self { url: format!("http://{listen}/v1/traces"), spans, _task: AbortOnDropHandle::new(task) }
    }

    /// The spans of the trace that begins with a request to `route`.
    fn trace_of(&self, route: &str) -> Vec<Reported> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let names_route = |span: &Span| {
            span.attributes.iter().any(|attribute| {
                let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
                attribute.key == "route" && matches!(value, Some(Value::StringValue(text)) if text == route)
            })
        };
        let request = spans.iter().find(|(_, span)| span.name == "request" && names_route(span));
        let trace_id =
            &request.unwrap_or_else(|| panic!("no request to {route} among {} spans", spans.len())).1.trace_id;
        spans.iter().filter(|(_, span)| span.trace_id == *trace_id).cloned().collect()
    }
}

/// Asserts the one trace; gives the services that took part.
fn assert_one_trace(collector: &Collector) -> BTreeSet<String> {
    let trace = collector.trace_of("/api/signup");
    let by_name: BTreeMap<&str, &Span> = trace.iter().map(|(_, span)| (span.name.as_str(), span)).collect();
    for name in ["request", "relay", "job", "smtp"] {
        assert!(by_name.contains_key(name), "no span {name} among {:?}", by_name.keys());
    }
    let parent = |name: &str| &by_name[name].parent_span_id;
    assert_eq!(parent("relay"), &by_name["request"].span_id, "the request caused the publishing");
    assert_eq!(parent("job"), &by_name["request"].span_id, "the request caused the job");
    assert_eq!(parent("smtp"), &by_name["job"].span_id, "the job caused the mail");
    let told = format!("{trace:?}");
    assert!(!told.contains("traced@example.com") && !told.contains(PASSWORD), "a trace holds no address and no secret");
    trace.into_iter().map(|(service, _)| service).collect()
}

/// Telemetry: one process: the sign-up, its publishing, its job and the SMTP conversation have one trace id.
#[tokio::test(flavor = "multi_thread")]
async fn one_trace_runs_from_the_click_to_the_inbox() {
    let (collector, server) = (Collector::start(), SmtpServer::start().await.unwrap());
    let base = format!("http://127.0.0.1:{}", free_port());
    let installation = Installation::new()
        .set("HTTP__LISTEN", base.trim_start_matches("http://"))
        .set("HTTP__PUBLIC_URL", &base)
        .set("MAIL__URL", &format!("smtp+insecure://{}", server.addr()))
        .set("TELEMETRY__OTLP_ENDPOINT", &collector.url);
    let mut process = installation.start("serve", &["serve"]);
    installation.wait_for(&format!("{base}/health/ready"), PATIENCE).await;
    let body = json!({ "email": "traced@example.com", "password": PASSWORD }).to_string();
    let request = http_client().post(format!("{base}/api/signup")).header("content-type", "application/json");
    assert_eq!(request.body(body).send().await.unwrap().status(), 202);
    server.wait_to("traced@example.com", 1, PATIENCE).await.unwrap();
    // What has not been exported yet is exported at the end.
    process.signal("TERM").await;
    assert_eq!(process.wait(Duration::from_secs(30)).await, Some(true), "{}", installation.logs());
    assert_eq!(assert_one_trace(&collector), ["gatepost".to_owned()].into());
}

/// Telemetry: across processes: gateway, RabbitMQ and worker.
#[tokio::test(flavor = "multi_thread")]
async fn full_one_trace_runs_across_processes() {
    if !full() {
        return;
    }
    let collector = Collector::start();
    let stack = Stack::on_shared(&[("TELEMETRY__OTLP_ENDPOINT", &collector.url)]).await;
    stack.sign_up("traced@example.com").await;
    stack.expect_mails("traced@example.com", 1).await;
    stack.stop().await;
    let services = assert_one_trace(&collector);
    assert!(services.is_superset(&["gatepost-gateway", "gatepost-worker"].map(str::to_owned).into()), "{services:?}");
}
