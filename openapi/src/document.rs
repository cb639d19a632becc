//! Reading and walking an OpenAPI document: operations, schemas, references.
//!
//! Walks are schema-aware: a property *called* `format` or `default` is never taken for the keyword, and examples are
//! never entered. Invariant: a malformed part is skipped, never a panic.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The members of a path item that are operations.
pub(crate) const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// What a reference to a component schema starts with.
pub(crate) const SCHEMA_PREFIX: &str = "#/components/schemas/";

/// One operation of the document.
#[derive(Clone, Copy)]
pub(crate) struct Operation<'a> {
    pub(crate) path: &'a str,
    pub(crate) method: &'a str,
    pub(crate) body: &'a Value,
}

impl<'a> Operation<'a> {
    /// The `operationId`, or the empty string.
    pub(crate) fn id(&self) -> &'a str {
        text(self.body, "operationId")
    }

    /// Where it stands, for messages: `GET /api/jobs`.
    pub(crate) fn place(&self) -> String {
        format!("{} {}", self.method.to_uppercase(), self.path)
    }

    /// Its parameters.
    pub(crate) fn parameters(&self) -> &'a [Value] {
        list(self.body, "parameters")
    }

    /// The parameter `name` that is sent `location` (`query`, `path`, `header`).
    pub(crate) fn parameter(&self, location: &str, name: &str) -> Option<&'a Value> {
        self.parameters().iter().find(|one| text(one, "in") == location && text(one, "name") == name)
    }

    /// Its responses by status.
    pub(crate) fn responses(&self) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        members(self.body.get("responses"))
    }

    /// Its responses below status 400.
    pub(crate) fn successes(&self) -> Vec<(&'a str, &'a Value)> {
        self.responses().filter(|(status, _)| status.starts_with(['1', '2', '3'])).collect()
    }
}

/// Every operation, in the document's order.
pub(crate) fn operations(doc: &Value) -> Vec<Operation<'_>> {
    let mut found = Vec::new();
    for (path, item) in members(doc.get("paths")) {
        for (method, body) in members(Some(item)).filter(|(method, _)| METHODS.contains(method)) {
            found.push(Operation { path, method, body });
        }
    }
    found
}

/// Calls `change` with every operation.
pub(crate) fn each_operation_mut(doc: &mut Value, mut change: impl FnMut(&mut Map<String, Value>)) {
    for item in members_mut(doc.get_mut("paths")) {
        let Some(item) = item.1.as_object_mut() else { continue };
        for (method, body) in item {
            if let (true, Some(body)) = (METHODS.contains(&method.as_str()), body.as_object_mut()) {
                change(body);
            }
        }
    }
}

/// The members of an object, or nothing.
pub(crate) fn members(value: Option<&Value>) -> impl Iterator<Item = (&str, &Value)> + use<'_> {
    value.and_then(Value::as_object).into_iter().flatten().map(|(key, member)| (key.as_str(), member))
}

/// The members of an object for change, or nothing.
pub(crate) fn members_mut(value: Option<&mut Value>) -> impl Iterator<Item = (&String, &mut Value)> + use<'_> {
    value.and_then(Value::as_object_mut).into_iter().flatten()
}

/// The string member `key`, or the empty string.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The array member `key`, or the empty slice.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The component name that a schema refers to.
pub(crate) fn referenced(schema: &Value) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix(SCHEMA_PREFIX))
}

/// A schema that refers to the component `name`.
pub(crate) fn reference(name: &str) -> Value {
    serde_json::json!({ "$ref": format!("{SCHEMA_PREFIX}{name}") })
}

/// Calls `change` with every schema of the document, inner schemas first.
pub(crate) fn each_schema_mut(doc: &mut Value, change: &mut impl FnMut(&mut Value)) {
    for (_, schema) in members_mut(doc.pointer_mut("/components/schemas")) {
        descend_mut(schema, change);
    }
    each_operation_mut(doc, |operation| {
        for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            descend_member_mut(parameter, change);
        }
        for (_, media) in members_mut(operation.get_mut("requestBody").and_then(|body| body.get_mut("content"))) {
            descend_member_mut(media, change);
        }
        for (_, response) in members_mut(operation.get_mut("responses")) {
            for (_, media) in members_mut(response.get_mut("content")) {
                descend_member_mut(media, change);
            }
            for (_, header) in members_mut(response.get_mut("headers")) {
                descend_member_mut(header, change);
            }
        }
    });
}

fn descend_member_mut(holder: &mut Value, change: &mut impl FnMut(&mut Value)) {
    if let Some(schema) = holder.get_mut("schema") {
        descend_mut(schema, change);
    }
}

fn descend_mut(schema: &mut Value, change: &mut impl FnMut(&mut Value)) {
    for (_, property) in members_mut(schema.get_mut("properties")) {
        descend_mut(property, change);
    }
    for keyword in ["items", "additionalProperties", "not"] {
        if let Some(inner) = schema.get_mut(keyword).filter(|inner| inner.is_object()) {
            descend_mut(inner, change);
        }
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for inner in schema.get_mut(keyword).and_then(Value::as_array_mut).into_iter().flatten() {
            descend_mut(inner, change);
        }
    }
    change(schema);
}

/// A schema with the place where it stands and the property name it describes (empty if none).
#[derive(Clone)]
pub(crate) struct Placed<'a> {
    pub(crate) place: String,
    pub(crate) property: &'a str,
    pub(crate) schema: &'a Value,
}

/// Every schema at or below `schema`, the outer first.
pub(crate) fn schemas_below<'a>(place: &str, property: &'a str, schema: &'a Value) -> Vec<Placed<'a>> {
    let mut found = vec![Placed { place: place.to_owned(), property, schema }];
    for (name, inner) in members(schema.get("properties")) {
        found.extend(schemas_below(&format!("{place}.{name}"), name, inner));
    }
    if let Some(inner) = schema.get("items").filter(|inner| inner.is_object()) {
        found.extend(schemas_below(&format!("{place}[]"), "", inner));
    }
    if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
        found.extend(schemas_below(&format!("{place}{{}}"), "", inner));
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for inner in list(schema, keyword) {
            found.extend(schemas_below(&format!("{place}({keyword})"), "", inner));
        }
    }
    found
}

/// Every schema of an operation that is not a component: parameters, bodies, headers.
pub(crate) fn operation_schemas<'a>(operation: &Operation<'a>) -> Vec<Placed<'a>> {
    let place = operation.place();
    let mut found = Vec::new();
    for parameter in operation.parameters() {
        let name = text(parameter, "name");
        if let Some(schema) = parameter.get("schema") {
            found.extend(schemas_below(&format!("{place} parameter {name}"), name, schema));
        }
    }
    let bodies = operation.body.get("requestBody").map(|body| ("request body", body));
    for (label, holder) in bodies.into_iter().chain(operation.responses()) {
        for (media, content) in members(holder.get("content")) {
            if let Some(schema) = content.get("schema") {
                found.extend(schemas_below(&format!("{place} {label} {media}"), "", schema));
            }
        }
        for (name, header) in members(holder.get("headers")) {
            if let Some(schema) = header.get("schema") {
                found.extend(schemas_below(&format!("{place} {label} header {name}"), "", schema));
            }
        }
    }
    found
}

/// Every `$ref` target at or below `value`, in any position.
pub(crate) fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(object) => {
            for (key, member) in object {
                match member.as_str() {
                    Some(target) if key == "$ref" => {
                        found.insert(target);
                    }
                    _ => references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The component schemas that can be reached from `roots`, following references.
pub(crate) fn reachable<'a>(doc: &'a Value, roots: impl IntoIterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    let mut pending = BTreeSet::new();
    for root in roots {
        references(root, &mut pending);
    }
    let components = doc.pointer("/components/schemas");
    let mut reached = BTreeSet::new();
    while let Some(target) = pending.pop_first() {
        let Some(name) = target.strip_prefix(SCHEMA_PREFIX) else { continue };
        if reached.insert(name)
            && let Some(schema) = components.and_then(|all| all.get(name))
        {
            references(schema, &mut pending);
        }
    }
    reached
}

/// A copy with the keys of every object in order, whatever the map type keeps.
pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            Value::Object(entries.into_iter().map(|(key, member)| (key.clone(), sorted(member))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
