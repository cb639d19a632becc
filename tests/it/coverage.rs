//! What holds for everything of a kind: operations, jobs, problems, settings, metrics. A new one is covered unasked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use harness::{
    Answer, Caller, TestApp,
    generate::{
        self,
        jobs::PAYLOADS,
        tree::{self, Source},
    },
};
use poem::http::Method;
use serde_json::Value;
use shared::CATALOG;

/// Where the frozen payloads are.
const FIXTURES: &str = "tests/fixtures/jobs";

/// Cookies, whose names look like those of metrics.
const COOKIES: [&str; 3] = ["gatepost_device", "gatepost_login", "gatepost_session"];

/// An operation of the API document.
struct Operation {
    id: String,
    method: Method,
    /// The path with a value for each parameter.
    path: String,
    takes_body: bool,
    is_public: bool,
}

impl Operation {
    async fn call(&self, caller: &Caller<'_>, body: &str) -> Answer {
        let body = self.takes_body.then(|| ("application/json", body.to_owned()));
        caller.send(self.method.clone(), &self.path, body).await
    }
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let Ok(method) = method.to_uppercase().parse() else { continue };
            let Some(id) = operation["operationId"].as_str() else { continue };
            operations.push(Operation {
                id: id.to_owned(),
                method,
                path: with_values(path),
                takes_body: operation.get("requestBody").is_some(),
                is_public: operation["security"].as_array().is_some_and(Vec::is_empty),
            });
        }
    }
    assert!(operations.len() > 10, "the document has lost its operations");
    operations
}

/// Puts an id that nothing has in place of each parameter.
fn with_values(template: &str) -> String {
    let value = |part: &str| {
        if part.starts_with('{') { "019aa5c2-7b10-7c3e-9d41-2f6a8b0c1dff".to_owned() } else { part.to_owned() }
    };
    template.split('/').map(value).collect::<Vec<_>>().join("/")
}

fn public_operations() -> Vec<String> {
    let list = fs::read_to_string(tree::root().join("tests/public-operations.txt")).unwrap_or_default();
    list.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// A20, T-LOGIN-99: placeholder
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_strangers_unless_it_is_listed_as_public() {
    let app = TestApp::new().await;
    let public = public_operations();
    assert!(public.is_sorted(), "the list of public operations is not sorted");
    let operations = operations(&gateway::spec::document().unwrap());
    for operation in &operations {
        let is_listed = public.contains(&operation.id);
        assert_eq!(operation.is_public, is_listed, "{}: document and list disagree whether it is public", operation.id);
        for caller in [app.browser(), app.browser().bearer("gps_wrong"), app.browser().bearer("")] {
            let answer = operation.call(&caller, "{}").await;
            let is_refused = matches!(answer.status, 401 | 403);
            assert_eq!(is_refused, !is_listed, "{}: {} {}", operation.id, answer.status, answer.text);
            if is_refused {
                assert_eq!(answer.expect_problem(401, "unauthenticated")["title"], "Sign in to do this");
                assert!(answer.header("www-authenticate").is_some(), "{}", operation.id);
            }
        }
    }
    let known: BTreeSet<_> = operations.iter().map(|operation| &operation.id).collect();
    let stale: Vec<_> = public.iter().filter(|id| !known.contains(id)).collect();
    assert!(stale.is_empty(), "public operations that do not exist: {stale:?}");
}
