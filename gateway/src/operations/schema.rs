//! Where a JSON value differs from a schema: as much of JSON Schema as the API document uses.
//!
//! It explains refusals and decides none, so it may overlook a difference but never invents one that is not there.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::problem::FieldProblem;

/// No document of this server nests deeper; a schema that refers to itself ends here.
const MAX_DEPTH: usize = 16;

/// Differences that are told; more of them help nobody.
const MAX_PROBLEMS: usize = 20;

/// Where `value` differs from `schema`; `schemas` are the components that `$ref` leads to.
pub fn mismatches(schemas: &Value, schema: &Value, value: &Value) -> Vec<FieldProblem> {
    let mut walk = Walk { schemas, found: Vec::new() };
    walk.value(schema, value, "", 0);
    walk.found.truncate(MAX_PROBLEMS);
    walk.found
}

/// A name as a part of a JSON pointer (RFC 6901, section 3).
#[must_use]
pub fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

struct Walk<'a> {
    schemas: &'a Value,
    found: Vec<FieldProblem>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, schema: &'a Value, value: &Value, pointer: &str, depth: usize) {
        if depth > MAX_DEPTH || self.found.len() >= MAX_PROBLEMS {
            return;
        }
        if let Some(target) = self.referred(schema) {
            return self.value(target, value, pointer, depth + 1);
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.value(part, value, pointer, depth + 1);
        }
        if value.is_null() && schema.get("nullable") == Some(&Value::Bool(true)) {
            return;
        }
        if let Some(expected) = schema.get("type").and_then(Value::as_str)
            && !has_type(value, expected)
        {
            return self.add(pointer, "invalid", format!("This must be {}.", with_article(expected)));
        }
        match value {
            Value::Object(members) => self.object(schema, members, pointer, depth),
            Value::Array(items) => self.array(schema, items, pointer, depth),
            Value::String(text) => self.text(schema, text, pointer),
            Value::Number(_) => self.number(schema, value, pointer),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn referred(&self, schema: &'a Value) -> Option<&'a Value> {
        let name = schema.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/")?;
        self.schemas.get(name)
    }

    fn object(&mut self, schema: &'a Value, members: &Map<String, Value>, pointer: &str, depth: usize) {
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for name in &required {
            if members.get(*name).is_none_or(Value::is_null) && !self.is_nullable(schema, name) {
                self.add(&format!("{pointer}/{}", escape(name)), "required", "This field is required.".to_owned());
            }
        }
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            // A null member counts as an absent one, which has been looked at above.
            if let Some(member) = members.get(name).filter(|member| !member.is_null()) {
                self.value(property, member, &format!("{pointer}/{}", escape(name)), depth + 1);
            }
        }
    }

    fn is_nullable(&self, schema: &'a Value, name: &str) -> bool {
        let property = schema.get("properties").and_then(|properties| properties.get(name));
        let target = property.map(|property| self.referred(property).unwrap_or(property));
        target.is_some_and(|target| target.get("nullable") == Some(&Value::Bool(true)))
    }

    fn array(&mut self, schema: &'a Value, items: &[Value], pointer: &str, depth: usize) {
        let Some(item_schema) = schema.get("items") else { return };
        for (index, item) in items.iter().enumerate() {
            self.value(item_schema, item, &format!("{pointer}/{index}"), depth + 1);
        }
    }

    fn text(&mut self, schema: &Value, text: &str, pointer: &str) {
        let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        if let Some(shortest) = bound(schema, "minLength").filter(|shortest| length < *shortest) {
            return self.add(pointer, "too_short", format!("This must have at least {shortest} characters."));
        }
        if let Some(longest) = bound(schema, "maxLength").filter(|longest| length > *longest) {
            return self.add(pointer, "too_long", format!("This must have at most {longest} characters."));
        }
        let choices: Vec<&str> =
            schema.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        if !choices.is_empty() && !choices.contains(&text) {
            return self.add(pointer, "invalid", format!("This must be one of: {}.", choices.join(", ")));
        }
        if schema.get("format").and_then(Value::as_str) == Some("uuid") && text.parse::<Uuid>().is_err() {
            self.add(pointer, "invalid", "This must be a UUID.".to_owned());
        }
    }

    fn number(&mut self, schema: &Value, value: &Value, pointer: &str) {
        let number = value.as_f64().unwrap_or_default();
        let limit = |name| schema.get(name).and_then(Value::as_f64);
        if let Some(least) = limit("minimum").filter(|least| number < *least) {
            self.add(pointer, "out_of_range", format!("This must be at least {least}."));
        } else if let Some(most) = limit("maximum").filter(|most| number > *most) {
            self.add(pointer, "out_of_range", format!("This must be at most {most}."));
        }
    }

    fn add(&mut self, pointer: &str, code: &str, detail: String) {
        self.found.push(FieldProblem { pointer: pointer.to_owned(), code: code.to_owned(), detail });
    }
}

fn bound(schema: &Value, name: &str) -> Option<u64> {
    schema.get(name).and_then(Value::as_u64)
}

fn has_type(value: &Value, expected: &str) -> bool {
    match expected {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        _ => true,
    }
}

fn with_article(name: &str) -> String {
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(value: &Value) -> Vec<String> {
        let schemas = json!({
            "Address": { "type": "object", "required": ["city"], "properties": { "city": { "type": "string" } } },
        });
        let schema = json!({
            "type": "object",
            "required": ["email", "note"],
            "properties": {
                "email": { "type": "string", "minLength": 3, "maxLength": 10 },
                "note": { "type": "string", "nullable": true },
                "age": { "type": "integer", "minimum": 0.0, "maximum": 150.0 },
                "kind": { "type": "string", "enum": ["a", "b"] },
                "id": { "type": "string", "format": "uuid" },
                "tags": { "type": "array", "items": { "type": "string" } },
                "address": { "allOf": [{ "$ref": "#/components/schemas/Address" }, { "description": "Home." }] },
                "a/b": { "type": "boolean" },
            },
        });
        mismatches(&schemas, &schema, value)
            .into_iter()
            .map(|field| format!("{} {}", field.pointer, field.code))
            .collect()
    }

    #[test]
    fn a_body_that_fits_has_no_problem() {
        let fits =
            json!({ "email": "a@b.c", "note": null, "age": 3, "kind": "a", "tags": [], "address": { "city": "x" } });
        assert!(found(&fits).is_empty());
    }

    #[test]
    fn every_difference_is_named() {
        assert_eq!(found(&json!({})), ["/email required"]);
        assert_eq!(found(&json!({ "email": null })), ["/email required"]);
        assert_eq!(found(&json!({ "email": 5 })), ["/email invalid"]);
        assert_eq!(found(&json!({ "email": "ab" })), ["/email too_short"]);
        assert_eq!(found(&json!({ "email": "abcdefghijk" })), ["/email too_long"]);
        let email = |name: &str, value: Value| json!({ "email": "a@b.c", name: value });
        assert_eq!(found(&email("age", json!(-1))), ["/age out_of_range"]);
        assert_eq!(found(&email("age", json!(1.5))), ["/age invalid"]);
        assert_eq!(found(&email("kind", json!("c"))), ["/kind invalid"]);
        assert_eq!(found(&email("id", json!("c"))), ["/id invalid"]);
        assert_eq!(found(&email("tags", json!(["x", 1]))), ["/tags/1 invalid"]);
        assert_eq!(found(&email("address", json!({}))), ["/address/city required"]);
        assert_eq!(found(&email("a/b", json!(1))), ["/a~1b invalid"]);
        assert_eq!(found(&json!([])), [" invalid"]);
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schemas = json!({ "Loop": { "$ref": "#/components/schemas/Loop" } });
        assert!(mismatches(&schemas, &json!({ "$ref": "#/components/schemas/Loop" }), &json!(1)).is_empty());
    }
}
