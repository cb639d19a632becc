//! The addresses of this server and the bodies they take, read from the API document.
//!
//! Errors happen before or outside of an operation, where the framework no longer says which one it was. This table does:
//! it gives the metrics their label, 405 its `Allow`, and a refused body the names of its fields.

mod schema;

use std::{collections::BTreeMap, sync::LazyLock};

pub use schema::escape;
use serde_json::Value;

use crate::{capture, dev_mailbox, problem::FieldProblem, spec};

/// Addresses that are not in the API document.
const OTHER_ADDRESSES: &[(&str, &[&str])] = &[
    ("/openapi.json", &["GET"]),
    ("/docs", &["GET"]),
    ("/docs/reference.js", &["GET"]),
    ("/health/live", &["GET"]),
    ("/health/ready", &["GET"]),
    ("/_health", &["GET"]),
    ("/dev/mailbox", &["GET"]),
    (dev_mailbox::LIST_PATH, &["GET"]),
    ("/api/complete/{provider}", &["GET"]),
    ("/api/login/sso/{provider}", &["GET"]),
    ("/assets/gatepost.css", &["GET"]),
    ("/", &["GET"]),
    ("/account", &["GET"]),
    ("/account/sign_out", &["POST"]),
    ("/invite", &["GET", "POST"]),
    ("/login", &["GET", "POST"]),
    ("/login/email", &["GET", "POST"]),
    ("/login/not_me", &["GET", "POST"]),
    ("/login/two_factor", &["GET", "POST"]),
    ("/reset", &["GET", "POST"]),
    ("/two_factor_reset", &["GET", "POST"]),
    ("/verify_email", &["GET", "POST"]),
];

/// The addresses of this server. It has the same ones whatever it is told.
#[must_use]
pub fn known() -> &'static Operations {
    static KNOWN: LazyLock<Operations> =
        LazyLock::new(|| Operations::of(spec::published()).with(OTHER_ADDRESSES).with(capture::OTHER_ADDRESSES));
    &KNOWN
}

/// The addresses of this server.
#[derive(Default)]
pub struct Operations {
    /// By template. Where two fit an address, the one that says it more literally does.
    routes: matchit::Router<Route>,
    schemas: Value,
}

#[derive(Debug)]
struct Route {
    template: String,
    /// Upper-case methods, each with what is known of its operation.
    methods: BTreeMap<String, Known>,
}

#[derive(Debug, Default)]
struct Known {
    id: Option<String>,
    /// Schema of its JSON body if it takes one.
    body: Option<Value>,
}

impl Operations {
    /// Reads an API document.
    #[must_use]
    pub fn of(document: &Value) -> Self {
        let paths = document.get("paths").and_then(Value::as_object);
        let routes = paths.into_iter().flatten().map(|(template, operations)| Route {
            template: template.as_str().into(),
            methods: operations
                .as_object()
                .into_iter()
                .flatten()
                .map(|(method, operation)| (method.to_ascii_uppercase(), Known::of(operation)))
                .collect(),
        });
        let schemas = document.pointer("/components/schemas").cloned().unwrap_or_default();
        let mut known = Self { schemas, ..Self::default() };
        routes.for_each(|route| known.add(route));
        known
    }

    /// Adds addresses that are not in the document.
    #[must_use]
    pub fn with(mut self, addresses: &[(&str, &[&str])]) -> Self {
        for (template, methods) in addresses {
            let methods = methods.iter().map(|method| ((*method).to_owned(), Known::default())).collect();
            self.add(Route { template: (*template).into(), methods });
        }
        self
    }

    fn add(&mut self, route: Route) {
        let template = route.template.clone();
        if let Err(error) = self.routes.insert(template.clone(), route) {
            tracing::error!(template, %error, "two addresses are the same");
        }
    }

    /// The template of the address, such as `/api/jobs/{job_id}`.
    #[must_use]
    pub fn template(&self, path: &str) -> Option<&str> {
        self.find(path).map(|route| route.template.as_str())
    }

    /// The methods of the address, as in the header `Allow`.
    #[must_use]
    pub fn methods(&self, path: &str) -> Option<String> {
        let route = self.find(path)?;
        let mut methods: Vec<&str> = route.methods.keys().map(String::as_str).collect();
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        Some(methods.join(", "))
    }

    /// The id of the operation at the address.
    #[must_use]
    pub fn id(&self, method: &str, path: &str) -> Option<&str> {
        let method = if method == "HEAD" { "GET" } else { method };
        self.find(path)?.methods.get(method)?.id.as_deref()
    }

    /// Where a body differs from what the operation takes.
    #[must_use]
    pub fn mismatches(&self, method: &str, path: &str, body: &Value) -> Vec<FieldProblem> {
        let schema = self.find(path).and_then(|route| route.methods.get(method)).and_then(|known| known.body.as_ref());
        schema.map(|schema| schema::mismatches(&self.schemas, schema, body)).unwrap_or_default()
    }

    fn find(&self, path: &str) -> Option<&Route> {
        self.routes.at(path).ok().map(|found| found.value)
    }
}

impl Known {
    fn of(operation: &Value) -> Self {
        let id = operation.get("operationId").and_then(Value::as_str).map(str::to_owned);
        Self { id, body: body_schema(operation).cloned() }
    }
}

fn body_schema(operation: &Value) -> Option<&Value> {
    let content = operation.pointer("/requestBody/content")?.as_object()?;
    content.iter().find(|(media_type, _)| media_type.contains("json"))?.1.get("schema")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operations() -> Operations {
        let schema = json!({ "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } });
        Operations::of(&json!({
            "paths": {
                "/api/jobs/{job_id}": { "get": { "operationId": "getJob" }, "delete": {} },
                "/api/jobs/oldest": { "get": {} },
                "/api/things": { "post": { "requestBody": { "content": { "application/json; charset=utf-8": {
                    "schema": { "$ref": "#/components/schemas/Thing" } } } } } },
            },
            "components": { "schemas": { "Thing": schema } },
        }))
        .with(&[("/health/live", &["GET"])])
    }

    #[test]
    fn the_most_literal_template_fits() {
        let operations = operations();
        let template = |path: &str| operations.template(path);
        assert_eq!(template("/api/jobs/17"), Some("/api/jobs/{job_id}"));
        assert_eq!(template("/api/jobs/oldest"), Some("/api/jobs/oldest"));
        assert_eq!(template("/api/jobs"), None);
        assert_eq!(template("/api/jobs/"), None);
        assert_eq!(template("/api/jobs/17/retry"), None);
        assert_eq!(template("/health/live"), Some("/health/live"));
    }

    #[test]
    fn every_address_of_this_server_is_found() {
        let documented = spec::published()["paths"].as_object().unwrap().keys().map(String::as_str);
        let others = OTHER_ADDRESSES.iter().chain(capture::OTHER_ADDRESSES).map(|(template, _)| *template);
        for template in documented.chain(others) {
            let path = template.replace(['{', '}'], "");
            assert_eq!(known().template(&path), Some(template), "{path}");
        }
    }

    #[test]
    fn methods_are_listed() {
        assert_eq!(operations().methods("/api/jobs/17").as_deref(), Some("DELETE, GET, HEAD"));
        assert_eq!(operations().methods("/api/things").as_deref(), Some("POST"));
        assert_eq!(operations().methods("/nowhere"), None);
        assert_eq!(operations().id("HEAD", "/api/jobs/17"), Some("getJob"));
        assert_eq!(operations().id("PUT", "/api/jobs/17"), None);
    }

    #[test]
    fn a_body_is_held_against_its_schema() {
        let fields = operations().mismatches("POST", "/api/things", &json!({}));
        assert_eq!(fields.len(), 1);
        assert_eq!((fields[0].pointer.as_str(), fields[0].code.as_str()), ("/name", "required"));
        assert!(operations().mismatches("POST", "/api/jobs/17", &json!({})).is_empty());
    }
}
