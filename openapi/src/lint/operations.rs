//! Rules on operations: 1 (version), 2 (id, tag, words, security), 3 (paths, parameters), 10 (pages), 11 (idempotency).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{LintOptions, Report, names};
use crate::document::{Operation, list, members, operations, referenced, text};

/// First words of ids of operations that create or send something: they accept `Idempotency-Key`.
const REPEATABLE: [&str; 5] = ["create", "request", "resend", "send", "sign"];

pub(super) fn check(doc: &Value, options: &LintOptions<'_>, report: &mut Report) {
    report.expect(text(doc, "openapi") == "3.0.3", "1-version", "document", "`openapi` is not 3.0.3");
    let found = operations(doc);
    unique_ids(&found, report);
    paths(doc, options, report);
    schemes(doc, report);
    for operation in &found {
        identity(doc, operation, report);
        security(doc, operation, report);
        parameters(operation, report);
        page(doc, operation, report);
        idempotency(operation, report);
    }
}

fn unique_ids(found: &[Operation<'_>], report: &mut Report) {
    let mut first: BTreeMap<&str, String> = BTreeMap::new();
    for operation in found.iter().filter(|operation| !operation.id().is_empty()) {
        if let Some(other) = first.get(operation.id()) {
            report.add("2-operation-id", operation.place(), format!("`{}` is also the id of {other}", operation.id()));
        } else {
            first.insert(operation.id(), operation.place());
        }
    }
}

/// Rule 2: id, tag, summary, description.
fn identity(doc: &Value, operation: &Operation<'_>, report: &mut Report) {
    let place = operation.place();
    let id = operation.id();
    if !names::is_verb_noun(id) {
        report.add(
            "2-operation-id",
            &place,
            format!("`{id}` is not camelCase with a verb and a noun, like `listSessions`"),
        );
    }
    match list(operation.body, "tags") {
        [Value::String(tag)] => {
            if !names::is_plural_tag(tag) {
                report.add("2-tag", &place, format!("`{tag}` is not a plural noun in snake_case"));
            }
            if !list(doc, "tags").iter().any(|declared| text(declared, "name") == tag) {
                report.add("2-tag", &place, format!("`{tag}` is not declared under `tags`"));
            }
        }
        other => report.add("2-tag", &place, format!("needs exactly one tag, has {}", other.len())),
    }
    for member in ["summary", "description"] {
        let said = text(operation.body, member).trim();
        report.expect(!said.is_empty(), "2-words", &place, &format!("has no {member}"));
    }
}

/// Rule 2: explicit security that names declared schemes.
fn security(doc: &Value, operation: &Operation<'_>, report: &mut Report) {
    let place = operation.place();
    let Some(requirements) = operation.body.get("security").and_then(Value::as_array) else {
        report.add("2-security", place, "does not say its `security` (`[]` for public)");
        return;
    };
    for (name, _) in requirements.iter().flat_map(|one| members(Some(one))) {
        if doc.pointer("/components/securitySchemes").and_then(|all| all.get(name)).is_none() {
            report.add("2-security", &place, format!("names the undeclared scheme `{name}`"));
        }
    }
}

fn schemes(doc: &Value, report: &mut Report) {
    for (name, scheme) in members(doc.pointer("/components/securitySchemes")) {
        let said = !text(scheme, "description").trim().is_empty();
        report.expect(said, "2-security", &format!("components.securitySchemes.{name}"), "has no description");
    }
}

/// Rule 3: prefix, segments, distinct parameters, no two templates for one path.
fn paths(doc: &Value, options: &LintOptions<'_>, report: &mut Report) {
    let servers = list(doc, "servers");
    let is_based =
        !servers.is_empty() && servers.iter().all(|one| text(one, "url").trim_end_matches('/').ends_with("/api"));
    let mut templates: BTreeMap<String, &str> = BTreeMap::new();
    for (path, _) in members(doc.get("paths")) {
        let is_outside = options.outside_api.iter().any(|base| is_below(path, base));
        if !(is_based || is_outside || path == "/api" || path.starts_with("/api/")) {
            report.add("3-path", path, "is not under `/api`");
        }
        if !is_outside {
            let segments = path.strip_prefix('/').unwrap_or(path).split('/');
            for segment in segments.filter(|segment| !names::is_segment(segment)) {
                report.add("3-path", path, format!("the segment `{segment}` is not snake_case"));
            }
        }
        let names = names::path_parameters(path);
        let distinct: BTreeSet<_> = names.iter().collect();
        report.expect(distinct.len() == names.len(), "3-path-parameters", path, "names a path parameter twice");
        let template = names.iter().fold(path.to_owned(), |shape, name| shape.replace(&format!("{{{name}}}"), "{}"));
        if let Some(other) = templates.insert(template, path) {
            report.add("3-path-parameters", path, format!("is the same path as {other} with other parameter names"));
        }
    }
}

/// Whether a path is `base` or below it.
fn is_below(path: &str, base: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Rule 3: parameter names, and path parameters declared.
fn parameters(operation: &Operation<'_>, report: &mut Report) {
    let place = operation.place();
    let in_path = names::path_parameters(operation.path);
    for name in &in_path {
        let is_declared = operation.parameter("path", name).is_some();
        report.expect(is_declared, "3-path-parameters", &place, &format!("does not declare `{{{name}}}`"));
    }
    let mut seen = BTreeSet::new();
    for parameter in operation.parameters() {
        let (name, location) = (text(parameter, "name"), text(parameter, "in"));
        if !seen.insert((location, name)) {
            report.add("3-path-parameters", &place, format!("declares the {location} parameter `{name}` twice"));
        }
        match location {
            "path" | "query" => {
                if !names::is_snake_case(name) {
                    report.add("3-names", &place, format!("the parameter `{name}` is not snake_case"));
                }
                if names::is_reserved(name) {
                    report.add(
                        "3-reserved",
                        &place,
                        format!("the parameter `{name}` is a reserved word in a client language"),
                    );
                }
            }
            "header" if !names::is_canonical_header(name) => {
                report.add("3-names", &place, format!("the header `{name}` is not in canonical spelling"));
            }
            _ => {}
        }
        if location == "path" && !in_path.contains(&name) {
            report.add("3-path-parameters", &place, format!("declares `{name}`, which its path does not have"));
        }
    }
}

/// The component that a successful answer carries as JSON.
fn success_component<'a>(doc: &'a Value, operation: &Operation<'a>) -> Option<&'a Value> {
    let successes = operation.successes();
    let name = successes
        .iter()
        .find_map(|(_, response)| response.pointer("/content/application~1json/schema").and_then(referenced))?;
    doc.pointer("/components/schemas").and_then(|all| all.get(name))
}

/// Rule 10: lists are cursor pages, and cursor pages are lists.
fn page(doc: &Value, operation: &Operation<'_>, report: &mut Report) {
    let place = operation.place();
    let is_list =
        names::camel_words(operation.id()).is_some_and(|words| words.first().is_some_and(|verb| verb == "list"));
    let body = success_component(doc, operation);
    let fields: BTreeSet<&str> =
        body.map(|body| members(body.get("properties")).map(|(name, _)| name).collect()).unwrap_or_default();
    for banned in ["offset", "page", "page_size", "per_page"] {
        let is_absent = operation.parameter("query", banned).is_none();
        report.expect(is_absent, "10-pages", &place, &format!("pages by `{banned}`; pages go by `limit` and `cursor`"));
    }
    if !is_list && !fields.contains("next_cursor") {
        return;
    }
    if fields != BTreeSet::from(["items", "next_cursor"]) {
        report.add("10-pages", &place, "does not answer a component with exactly `items` and `next_cursor`");
    }
    if let Some(body) = body {
        let is_array = body.pointer("/properties/items/type").and_then(Value::as_str) == Some("array");
        let required = list(body, "required");
        report.expect(is_array, "10-pages", &place, "`items` of its page is not an array");
        report.expect(
            required.iter().any(|name| name == "items"),
            "10-pages",
            &place,
            "`items` of its page is not required",
        );
        report.expect(
            !required.iter().any(|name| name == "next_cursor"),
            "10-pages",
            &place,
            "`next_cursor` is absent on the last page, not required",
        );
    }
    page_parameters(operation, &place, report);
}

fn page_parameters(operation: &Operation<'_>, place: &str, report: &mut Report) {
    let is_limit = operation.parameter("query", "limit").and_then(|one| one.get("schema")).is_some_and(|schema| {
        text(schema, "type") == "integer"
            && schema.get("minimum").and_then(Value::as_i64) == Some(1)
            && schema.get("maximum").and_then(Value::as_i64) == Some(200)
    });
    report.expect(is_limit, "10-pages", place, "has no query parameter `limit` (an integer from 1 to 200)");
    let is_cursor = operation
        .parameter("query", "cursor")
        .is_some_and(|one| one.get("schema").is_some_and(|schema| text(schema, "type") == "string"));
    report.expect(is_cursor, "10-pages", place, "has no query parameter `cursor` (a string)");
    for name in ["limit", "cursor"] {
        let is_optional =
            operation.parameter("query", name).is_none_or(|one| one.get("required") != Some(&Value::Bool(true)));
        report.expect(is_optional, "10-pages", place, &format!("`{name}` must be optional"));
    }
}

/// Rule 11: what creates or sends can be repeated safely.
fn idempotency(operation: &Operation<'_>, report: &mut Report) {
    let verb = names::camel_words(operation.id()).and_then(|words| words.first().cloned()).unwrap_or_default();
    let place = operation.place();
    let header = operation.parameter("header", "Idempotency-Key");
    if operation.method == "post" && REPEATABLE.contains(&verb.as_str()) && header.is_none() {
        report.add("11-idempotency", &place, "creates or sends, but does not accept `Idempotency-Key`");
    }
    let is_optional = header.is_none_or(|one| one.get("required") != Some(&Value::Bool(true)));
    report.expect(is_optional, "11-idempotency", &place, "`Idempotency-Key` must be optional");
}
