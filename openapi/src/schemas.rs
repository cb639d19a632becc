//! Schemas in form: integer formats, optional fields, collapsed references, page names, no orphans.
//!
//! Invariant: a rewritten schema accepts every value that the server sends or takes; only its description gets more exact.

use serde_json::{Map, Value, json};

use crate::{
    document::{SCHEMA_PREFIX, each_schema_mut, members_mut, reachable, reference, referenced, text},
    normalise::OMITTED_MARKER,
};

/// Non-standard integer formats: format, replacement, least and greatest value.
const INTEGER_FORMATS: [(&str, &str, i64, Option<i64>); 6] = [
    ("int8", "int32", -128, Some(127)),
    ("int16", "int32", -32_768, Some(32_767)),
    ("uint8", "int32", 0, Some(255)),
    ("uint16", "int32", 0, Some(65_535)),
    ("uint32", "int64", 0, Some(4_294_967_295)),
    ("uint64", "int64", 0, None),
];

/// What may stand beside a reference without changing which values it accepts.
const ANNOTATIONS: [&str; 9] =
    ["allOf", "default", "deprecated", "description", "example", "externalDocs", "readOnly", "title", "writeOnly"];

/// Brings every schema of the document into form.
pub(crate) fn tidy(doc: &mut Value) {
    let components = doc.pointer("/components/schemas").cloned().unwrap_or_default();
    each_schema_mut(doc, &mut |schema| {
        if let Some(schema) = schema.as_object_mut() {
            standard_integers(schema);
            release_omitted(schema);
            if schema.get("additionalProperties") == Some(&json!({})) {
                schema.insert("additionalProperties".to_owned(), json!(true));
            }
        }
    });
    // After the fields were released, because a collapsed reference no longer says that it may be omitted.
    each_schema_mut(doc, &mut |schema| collapse(schema, &components));
    for (name, schema) in members_mut(doc.pointer_mut("/components/schemas")) {
        if text(schema, "title") == name
            && let Some(schema) = schema.as_object_mut()
        {
            schema.remove("title");
        }
    }
}

/// Standard formats with bounds, and whole numbers where the generator writes `1.0`.
fn standard_integers(schema: &mut Map<String, Value>) {
    if schema.get("type").and_then(Value::as_str) != Some("integer") {
        return;
    }
    for keyword in ["minimum", "maximum", "multipleOf"] {
        if let Some(whole) = schema.get(keyword).and_then(whole_number) {
            schema.insert(keyword.to_owned(), json!(whole));
        }
    }
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let Some((_, standard, least, greatest)) = INTEGER_FORMATS.into_iter().find(|(name, ..)| *name == format) else {
        return;
    };
    schema.insert("format".to_owned(), json!(standard));
    schema.entry("minimum").or_insert_with(|| json!(least));
    if let Some(greatest) = greatest {
        schema.entry("maximum").or_insert_with(|| json!(greatest));
    }
}

/// `200.0` → 200. Numbers with a fraction, and those a float cannot hold exactly, stay.
fn whole_number(value: &Value) -> Option<i64> {
    let number = value.as_f64().filter(|_| value.is_f64())?;
    if number.fract() != 0.0 || number.abs() > 9_007_199_254_740_992.0 {
        return None;
    }
    format!("{number:.0}").parse().ok()
}

/// Drops the fields from `required` that have a default or say that they may be omitted.
fn release_omitted(schema: &mut Map<String, Value>) {
    let Some(Value::Array(required)) = schema.get("required") else { return };
    let is_released = |name: &Value| {
        let property = name.as_str().and_then(|name| schema.get("properties").and_then(|all| all.get(name)));
        property
            .is_some_and(|property| property.get("default").is_some() || says_omitted(text(property, "description")))
    };
    let mut kept: Vec<Value> = required.iter().filter(|name| !is_released(name)).cloned().collect();
    kept.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    kept.dedup();
    if kept.is_empty() {
        schema.remove("required");
    } else {
        schema.insert("required".to_owned(), Value::Array(kept));
    }
}

/// Does a sentence of the description start with the marker?
fn says_omitted(description: &str) -> bool {
    description.match_indices(OMITTED_MARKER).any(|(at, _)| {
        let before = description.get(..at).unwrap_or_default().trim_end();
        before.is_empty() || before.ends_with(['.', '!', '?', ':', ';', ')'])
    })
}

/// Collapses `allOf: [{$ref}, {annotations}]`, which the generator writes for a documented field of a component type.
///
/// Without `nullable` a plain reference remains. With it, a component that is no object is copied with `nullable`; a
/// nullable object has no form without `allOf` and stays, for the lint to report.
fn collapse(schema: &mut Value, components: &Value) {
    let Some([first, rest @ ..]) = schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) else { return };
    let Some(name) = referenced(first).map(str::to_owned) else { return };
    let is_nullable = schema.get("nullable") == Some(&Value::Bool(true));
    let is_plain = std::iter::once(&*schema).chain(rest).all(|part| {
        part.as_object()
            .is_some_and(|part| part.keys().all(|key| key == "nullable" || ANNOTATIONS.contains(&key.as_str())))
    });
    if !is_plain {
        return;
    }
    if !is_nullable {
        *schema = reference(&name);
        return;
    }
    let Some(target) = components.get(&name).and_then(Value::as_object).filter(|target| is_scalar(target)) else {
        *schema = json!({ "allOf": [reference(&name)], "nullable": true });
        return;
    };
    let mut copy = target.clone();
    copy.insert("nullable".to_owned(), json!(true));
    if let Some(description) = schema.get("description") {
        copy.insert("description".to_owned(), description.clone());
    }
    *schema = Value::Object(copy);
}

fn is_scalar(schema: &Map<String, Value>) -> bool {
    matches!(schema.get("type").and_then(Value::as_str), Some("string" | "integer" | "number" | "boolean"))
}

/// Names instances of the generic `Page<T>` as the rest: `Page_ApiKey` → `ApiKeyPage`.
///
/// A name that is taken stays as it is.
pub(crate) fn rename_pages(doc: &mut Value) {
    let Some(schemas) = doc.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    let mut renamed = Vec::new();
    for old in schemas.keys().cloned().collect::<Vec<_>>() {
        let Some(item) = old.strip_prefix("Page_").filter(|item| !item.contains('_')) else { continue };
        let new = format!("{item}Page");
        if schemas.contains_key(&new) {
            continue;
        }
        if let Some(mut schema) = schemas.remove(&old) {
            if let Some(schema) = schema.as_object_mut() {
                schema.remove("title");
            }
            schemas.insert(new.clone(), schema);
            renamed.push((format!("{SCHEMA_PREFIX}{old}"), new));
        }
    }
    each_schema_mut(doc, &mut |schema| {
        let target = text(schema, "$ref");
        if let Some((_, new)) = renamed.iter().find(|(old, _)| old == target) {
            *schema = reference(new);
        }
    });
}

/// Removes the component schemas that nothing refers to any more.
pub(crate) fn prune(doc: &mut Value) {
    let kept: Vec<String> =
        reachable(doc, doc.get("paths")).into_iter().chain(["Problem", "FieldProblem"]).map(str::to_owned).collect();
    if let Some(schemas) = doc.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.retain(|name, _| kept.contains(name));
    }
}
