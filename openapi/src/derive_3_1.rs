//! The OpenAPI 3.1.0 copy of the committed document, for viewers that follow JSON Schema 2020-12.
//!
//! Changes: `nullable` → a `null` type, boolean exclusive bounds → numbers, `example` → `examples`. Nothing else differs
//! between the two versions in what the committed document uses.

use serde_json::{Map, Value, json};

use crate::document::{each_schema_mut, sorted};

/// The 3.1.0 copy.
pub(crate) fn derive(doc: &Value) -> Value {
    let mut copy = doc.clone();
    if let Some(copy) = copy.as_object_mut() {
        copy.insert("openapi".to_owned(), json!("3.1.0"));
    }
    each_schema_mut(&mut copy, &mut |schema| {
        if let Some(schema) = schema.as_object_mut() {
            exclusive_bound(schema, "minimum", "exclusiveMinimum");
            exclusive_bound(schema, "maximum", "exclusiveMaximum");
            if let Some(example) = schema.remove("example") {
                schema.insert("examples".to_owned(), json!([example]));
            }
            null_type(schema);
        }
    });
    sorted(&copy)
}

fn exclusive_bound(schema: &mut Map<String, Value>, bound: &str, exclusive: &str) {
    match schema.get(exclusive) {
        Some(Value::Bool(true)) => {
            schema.remove(exclusive);
            if let Some(value) = schema.remove(bound) {
                schema.insert(exclusive.to_owned(), value);
            }
        }
        Some(Value::Bool(false)) => {
            schema.remove(exclusive);
        }
        _ => {}
    }
}

fn null_type(schema: &mut Map<String, Value>) {
    if schema.remove("nullable") != Some(Value::Bool(true)) {
        return;
    }
    if let Some(ty) = schema.get("type").filter(|ty| ty.is_string()).cloned() {
        schema.insert("type".to_owned(), json!([ty, "null"]));
        if let Some(Value::Array(values)) = schema.get_mut("enum")
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
    } else if !schema.is_empty() {
        let inner = std::mem::take(schema);
        schema.insert("anyOf".to_owned(), json!([inner, { "type": "null" }]));
    }
}
