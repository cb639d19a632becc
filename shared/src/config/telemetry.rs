//! Section `telemetry` of the configuration.

use serde::Deserialize;

use super::{Listen, empty_is_none};

/// Logs, metrics, traces.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines there are, as an `EnvFilter`.
    pub log_filter: String,
    /// Address of the Prometheus listener.
    #[serde(deserialize_with = "empty_is_none")]
    pub metrics_listen: Option<Listen>,
    /// Where traces are exported to, by OTLP over HTTP.
    #[serde(deserialize_with = "empty_is_none")]
    pub otlp_endpoint: Option<url::Url>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}
