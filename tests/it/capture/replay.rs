//! Recordings of browser clients, sent again as they were sent.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use harness::{TestApp, generate::tree};
use poem::http::Method;
use serde_json::Value;

use super::{count_events, gzip, percent, project_token, texts};

/// The requests of a recording.
fn recording(version: &str) -> Vec<Value> {
    let path = tree::root().join(format!("tests/fixtures/capture/posthog-js-{version}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    let recording: Value = serde_json::from_str(&text).unwrap();
    recording["log"].as_array().unwrap().iter().filter(|entry| entry["method"].is_string()).cloned().collect()
}

/// The body in the encoding that was recorded.
fn body(entry: &Value) -> Vec<u8> {
    let json = entry["json"].to_string();
    match entry["enc"].as_str() {
        Some("magic-gzip") => gzip(json.as_bytes()),
        Some("form+base64") => format!("data={}", percent(STANDARD.encode(json).as_bytes())).into_bytes(),
        _ => Vec::new(),
    }
}

async fn replay(app: &TestApp, version: &str) -> usize {
    let mut events = 0;
    for entry in recording(version) {
        let mut page = app.browser();
        for (name, value) in entry["headers"].as_object().unwrap() {
            if !["host", "content-length", "connection", "content-type"].contains(&name.as_str()) {
                page = page.header(name, value.as_str().unwrap());
            }
        }
        let (method, path) = (entry["method"].as_str().unwrap(), entry["url"].as_str().unwrap());
        let content_type = entry["headers"]["content-type"].as_str().unwrap_or_default();
        let sent = (method == "POST").then(|| (content_type, body(&entry)));
        let answer = page.send_bytes(method.parse::<Method>().unwrap(), path, sent).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
        assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:7802"), "{path}");
        if path.starts_with("/e/") {
            events += match (&entry["json"]["batch"], &entry["json"]) {
                (Value::Array(batch), _) | (_, Value::Array(batch)) => batch.len(),
                _ => 1,
            };
        }
    }
    events
}

/// ID-32, ID-21: the recordings of an old and of the newest browser client are accepted as they were sent, and once only
#[tokio::test(flavor = "multi_thread")]
async fn recorded_browsers_are_understood() {
    let app = TestApp::new().await;
    project_token(&app).await;
    app.execute("UPDATE projects SET project_token = 'phc_test'").await;
    let mut stored = 0;
    for version in ["1.449.2", "1.200.0"] {
        stored += replay(&app, version).await;
        assert_eq!(count_events(&app).await, i64::try_from(stored).unwrap(), "{version}");
        replay(&app, version).await;
        assert_eq!(count_events(&app).await, i64::try_from(stored).unwrap(), "{version}, sent again");
    }
    let mut names = texts(&app, "SELECT DISTINCT event AS text FROM events").await;
    names.sort();
    let expected = ["$create_alias", "$identify", "$pageleave", "$pageview", "$set", "anon_ev", "clicked", "last"];
    assert_eq!(names, expected);
    let merged = texts(&app, "SELECT DISTINCT distinct_id AS text FROM person_facts WHERE kind = 'merge'").await;
    for id in ["42", "user_2abc", "user_B"] {
        assert!(merged.iter().any(|merged| merged == id), "{id} is not among {merged:?}");
    }
    app.drain().await;
}
