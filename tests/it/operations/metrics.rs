//! The rules, the dashboard and the scaler of `docs/operations/` speak of metrics that exist.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Stdio};

use harness::{Installation, free_port, generate::tree, http_client};
use serde_json::Value;

/// Endings that Prometheus adds to the name of a histogram.
const ENDINGS: [&str; 3] = ["_bucket", "_count", "_sum"];

fn file(name: &str) -> (PathBuf, String) {
    let path = tree::root().join("docs/operations").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path, text)
}

/// Names that begin as the product's metrics do.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let names = words.filter(|word| word.starts_with("gatepost_") && !word.ends_with('_'));
    let base = |name: &str| ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name).to_owned();
    names.map(base).collect()
}

/// The metrics of the operators' guide; that these are the ones there are is checked in `coverage`.
fn recorded() -> BTreeSet<String> {
    let (_, guide) = file("README.md");
    let rows = guide.lines().filter(|line| line.starts_with("| `gatepost_"));
    let listed: BTreeSet<String> = rows.filter_map(|line| line.split('`').nth(1)).map(str::to_owned).collect();
    assert!(listed.len() > 10, "the table was not found");
    listed
}

/// What is built on metrics names only those that exist, and is in the format of its reader.
#[test]
fn rules_dashboard_and_scaler_use_metrics_that_exist() {
    let recorded = recorded();
    for name in ["prometheus-rules.yaml", "grafana-dashboard.json", "keda-scaledobject.yaml"] {
        let (_, text) = file(name);
        let used = names_in(&text);
        assert!(!used.is_empty(), "{name} uses no metric");
        let unknown: Vec<_> = used.difference(&recorded).collect();
        assert!(unknown.is_empty(), "{name} uses {unknown:?}");
    }
}

/// Prometheus' own checker accepts the rules, where it is installed; their outline is checked in any case.
#[test]
fn the_rules_are_rules() {
    let (path, text) = file("prometheus-rules.yaml");
    let rules: Value = serde_yaml::from_str(&text).unwrap();
    let mut alerts = BTreeSet::new();
    for group in rules["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            assert!(rule["expr"].is_string(), "{rule}");
            if let Some(alert) = rule["alert"].as_str() {
                assert!(rule["annotations"]["summary"].is_string() && rule["labels"]["severity"].is_string(), "{rule}");
                assert!(alerts.insert(alert.to_owned()), "{alert} is there twice");
            }
        }
    }
    assert!(alerts.len() >= 5, "{alerts:?}");
    let checker =
        std::process::Command::new("promtool").args(["check", "rules"]).arg(&path).stdin(Stdio::null()).output();
    if let Ok(output) = checker {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The dashboard is one that Grafana imports: panels with queries.
#[test]
fn the_dashboard_is_a_dashboard() {
    let (_, text) = file("grafana-dashboard.json");
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 6);
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(targets.iter().all(|target| target["expr"].is_string()), "{panel}");
    }
}

/// Each document of the scaler's file scales a fleet by the age and the depth of its queue.
#[test]
fn the_scaler_scales_every_queue() {
    let (_, text) = file("keda-scaledobject.yaml");
    let mut queues = BTreeSet::new();
    for document in text.split("\n---\n") {
        let object: Value = serde_yaml::from_str(document).unwrap();
        if object["kind"] != "ScaledObject" {
            continue;
        }
        let triggers = object["spec"]["triggers"].as_array().unwrap();
        let queue = object["metadata"]["name"].as_str().unwrap().trim_start_matches("gatepost-worker-").to_owned();
        assert!(
            triggers.iter().all(|trigger| trigger["metadata"]["query"].as_str().unwrap().contains(&queue)),
            "{queue}"
        );
        queues.insert(queue);
    }
    assert_eq!(queues, ["identify", "mail", "notify"].map(str::to_owned).into());
}

/// A running process serves the gauges that scaling goes by: depth and oldest age per queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_serves_the_gauges_that_scaling_goes_by() {
    let (port, metrics) = (free_port(), free_port());
    let installation = Installation::new()
        .set("HTTP__LISTEN", &format!("127.0.0.1:{port}"))
        .set("TELEMETRY__METRICS_LISTEN", &format!("127.0.0.1:{metrics}"));
    let process = installation.start("serve", &["serve"]);
    installation.wait_for(&format!("http://127.0.0.1:{port}/health/ready"), harness::works::PATIENCE).await;
    let url = format!("http://127.0.0.1:{metrics}/metrics");
    harness::works::until("the gauges are there", async || {
        let Ok(answer) = http_client().get(&url).send().await else { return false };
        let text = answer.text().await.unwrap_or_default();
        ["mail", "notify", "sweep", "identify"]
            .iter()
            .all(|queue| text.contains(&format!("gatepost_jobs_oldest_seconds{{queue=\"{queue}\"}}")))
    })
    .await;
    drop(process);
}
