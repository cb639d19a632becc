//! Logs, traces and metrics of a process.
//!
//! ```text
//! tracing ──► fmt layer (pretty | json) ──► standard error
//!        └──► OpenTelemetry layer ──► OTLP over HTTP, when an endpoint is configured
//! metrics ──► Prometheus text, on a listener of its own
//! ```
//!
//! One trace runs from the HTTP request through the job's row, the AMQP header and the worker to the SMTP call: the W3C
//! `traceparent` (Trace Context, section 3.2) is stored with the job. Logs never carry addresses, secrets or bodies.

use std::{collections::HashMap, io::IsTerminal, sync::OnceLock};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::{
    propagation::TextMapPropagator,
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogFormat, TelemetryConfig};

/// Keeps the exporters alive; [`Telemetry::flush`] sends what is left.
#[derive(Debug, Default)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("telemetry.log_filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The exporter could not be built.
    #[error("telemetry.otlp_endpoint: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Something else in the process already set it up.
    #[error("telemetry is already set up: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

impl Telemetry {
    /// Sets up logs and traces for this process.
    ///
    /// # Errors
    /// When the filter does not parse, the exporter cannot be built, or it was set up before.
    pub fn start(config: &TelemetryConfig, service: &'static str) -> Result<Self, TelemetryError> {
        // lapin logs returned messages with their whole payload, sqlx statements with their values.
        let filter = EnvFilter::try_new(format!(
            "{},lapin::returned_messages=error,sqlx=warn,sea_orm=warn,poem::server=warn",
            config.log_filter
        ))?;
        let lines: Box<dyn Layer<Registry> + Send + Sync> = if config.log_format == LogFormat::Json {
            Box::new(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr))
        } else {
            Box::new(
                tracing_subscriber::fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_ansi(std::io::stderr().is_terminal()),
            )
        };
        let traces = match &config.otlp_endpoint {
            None => None,
            Some(endpoint) => {
                let exporter =
                    opentelemetry_otlp::SpanExporter::builder().with_http().with_endpoint(endpoint.as_str()).build()?;
                let resource = Resource::builder().with_service_name(service).build();
                Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
            }
        };
        let spans =
            traces.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("gatepost")));
        tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init()?;
        Ok(Self { traces })
    }

    /// Sends what has not been exported yet. Blocks until it is sent or the exporter's timeout.
    pub fn flush(&self) {
        if let Some(provider) = &self.traces
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces were not exported");
        }
    }
}

/// The process's metrics; `render()` gives the Prometheus text format. The first call installs the recorder.
pub fn metrics() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
            PrometheusBuilder::new().set_buckets(&buckets).ok()?.install_recorder().ok()
        })
        .as_ref()
}

/// The W3C trace context of the span that is current, if traces are exported.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    let context = tracing::Span::current().context();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove("traceparent")
}

/// Makes `span` a part of the trace that `traceparent` names; anything malformed is ignored.
pub fn continue_trace(span: &tracing::Span, traceparent: Option<&str>) {
    let Some(traceparent) = traceparent else { return };
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract(&carrier);
    if context.span().span_context().is_valid() {
        // Without an exporter there is no layer to take the parent, and nothing to report.
        drop(span.set_parent(context));
    }
}
