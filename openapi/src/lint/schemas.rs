//! Rules on schemas: 3 (field names), 4 (named objects), 6 (no unions), 7 (enums), 8 (null), 9 (ids, times, durations),
//! 10 (free-form objects), and references that lead somewhere.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{LintOptions, Report, names};
use crate::document::{
    Operation, Placed, list, members, operation_schemas, operations, reachable, referenced, references, schemas_below,
    text,
};

/// Fields that end in `_id` (or `_ids`) and carry somebody else's identifiers.
const FOREIGN_IDS: [&str; 13] = [
    "anonymous_distinct_id",
    "anonymous_id",
    "client_id",
    "credential_id",
    "distinct_id",
    "entity_id",
    "external_id",
    "idp_entity_id",
    "key_id",
    "name_id",
    "request_id",
    "rp_id",
    "sp_entity_id",
];

/// Endings of durations in units other than seconds.
const OTHER_UNITS: [&str; 9] =
    ["_ms", "_millis", "_milliseconds", "_minutes", "_mins", "_hours", "_days", "_secs", "_ttl"];

/// Which components requests and responses use.
struct Usage<'a> {
    patched: BTreeSet<&'a str>,
    requested: BTreeSet<&'a str>,
    answered: BTreeSet<&'a str>,
}

impl<'a> Usage<'a> {
    fn of(doc: &'a Value) -> Self {
        let found = operations(doc);
        let is_patch = |operation: &&Operation<'_>| operation.method == "patch";
        let body = |operation: &Operation<'a>| operation.body.get("requestBody");
        let parameters = found.iter().filter_map(|one| one.body.get("parameters"));
        let others = found.iter().filter(|one| !is_patch(one)).filter_map(body);
        Self {
            patched: reachable(doc, found.iter().filter(is_patch).filter_map(body)),
            requested: reachable(doc, parameters.chain(others)),
            answered: reachable(doc, found.iter().filter_map(|one| one.body.get("responses"))),
        }
    }

    fn only_patched(&self, name: &str) -> bool {
        self.patched.contains(name) && !self.requested.contains(name) && !self.answered.contains(name)
    }

    fn only_answered(&self, name: &str) -> bool {
        self.answered.contains(name) && !self.requested.contains(name) && !self.patched.contains(name)
    }
}

pub(super) fn check(doc: &Value, options: &LintOptions<'_>, report: &mut Report) {
    let usage = Usage::of(doc);
    for (name, component) in members(doc.pointer("/components/schemas")) {
        let place = format!("components.schemas.{name}");
        report.expect(names::is_pascal_case(name), "4-components", &place, "is not a PascalCase name");
        let array = text(component, "type") == "array";
        report.expect(
            !array,
            "4-components",
            &place,
            "is a bare array, which cannot grow; answer a page or an envelope",
        );
        for placed in schemas_below(&place, "", component) {
            field_names(&placed, name, options, report);
            shape(&placed, options, report);
            if placed.place != place {
                is_named(&placed, report);
            }
            if placed.schema.get("nullable") == Some(&Value::Bool(true)) && !usage.only_patched(name) {
                report.add("8-null", &placed.place, "is nullable; only bodies of PATCH may be, others omit the field");
            }
            let is_open = usage.only_answered(name) && !options.closed_enums.contains(&name);
            if is_open && placed.schema.get("enum").is_some() {
                report.add(
                    "7-enums",
                    &placed.place,
                    "is an `enum` that only responses use; make it a string and document the values",
                );
            }
        }
    }
    for operation in operations(doc) {
        for placed in operation_schemas(&operation) {
            shape(&placed, options, report);
            is_named(&placed, report);
            let is_nullable = placed.schema.get("nullable") == Some(&Value::Bool(true));
            report.expect(!is_nullable, "8-null", &placed.place, "is nullable outside a component of a PATCH");
        }
    }
    unresolved(doc, report);
}

/// Rule 3: field names.
fn field_names(placed: &Placed<'_>, component: &str, options: &LintOptions<'_>, report: &mut Report) {
    if options.foreign_schemas.contains(&component) {
        return;
    }
    for (name, _) in members(placed.schema.get("properties")) {
        if !names::is_snake_case(name) {
            report.add("3-names", &placed.place, format!("the field `{name}` is not snake_case"));
        }
        if names::is_reserved(name) && !(name == "type" && component == "Problem") {
            report.add(
                "3-reserved",
                &placed.place,
                format!("the field `{name}` is a reserved word in a client language"),
            );
        }
    }
    for name in list(placed.schema, "required").iter().filter_map(Value::as_str) {
        if placed.schema.get("properties").is_none_or(|all| all.get(name).is_none()) {
            report.add("3-names", &placed.place, format!("requires `{name}`, which it does not have"));
        }
    }
}

/// Rules 4 and 10: an object inside another schema or in an operation is a reference; every schema says what it is.
fn is_named(placed: &Placed<'_>, report: &mut Report) {
    let schema = placed.schema;
    let is_object = text(schema, "type") == "object" || schema.get("properties").is_some();
    report.expect(!is_object, "4-components", &placed.place, "is an object without a name; make it a component");
}

fn shape(placed: &Placed<'_>, options: &LintOptions<'_>, report: &mut Report) {
    let schema = placed.schema;
    for keyword in ["oneOf", "anyOf", "allOf", "discriminator"] {
        if schema.get(keyword).is_some() {
            let message = format!("uses `{keyword}`; write variants as `status` with one optional member each");
            report.add("6-unions", &placed.place, message);
        }
    }
    let is_typed = ["type", "$ref", "oneOf", "anyOf", "allOf"].into_iter().any(|keyword| schema.get(keyword).is_some());
    report.expect(
        is_typed,
        "10-free-form",
        &placed.place,
        "has no type; a free-form value is a named object with `additionalProperties: true`",
    );
    let is_object = text(schema, "type") == "object";
    let says_members = schema.get("properties").is_some() || schema.get("additionalProperties").is_some();
    report.expect(
        !is_object || says_members,
        "10-free-form",
        &placed.place,
        "says nothing of its members; add `additionalProperties: true`",
    );
    if text(schema, "type") == "integer" && !["", "int32", "int64"].contains(&text(schema, "format")) {
        report.add(
            "9-formats",
            &placed.place,
            format!("the integer format `{}` is not standard", text(schema, "format")),
        );
    }
    if let Some(message) = conventional(placed, options) {
        report.add("9-formats", &placed.place, message);
    }
}

/// Rule 9: ids, times and durations by the name of the field.
fn conventional(placed: &Placed<'_>, options: &LintOptions<'_>) -> Option<String> {
    let (name, schema) = (placed.property, placed.schema);
    let (ty, format) = (text(schema, "type"), text(schema, "format"));
    if referenced(schema).is_some() || name.is_empty() {
        return None;
    }
    let is_foreign = |id: &str| FOREIGN_IDS.contains(&id) || options.foreign_ids.contains(&id);
    if (name == "id" || name == "uuid" || name.ends_with("_id"))
        && !is_foreign(name)
        && (ty, format) != ("string", "uuid")
    {
        return Some(format!("the id `{name}` is not a string with format `uuid`"));
    }
    if let Some(stem) = name.strip_suffix("_ids").filter(|stem| !is_foreign(&format!("{stem}_id"))) {
        let is_uuids = schema.pointer("/items/format").and_then(Value::as_str) == Some("uuid");
        return (!is_uuids).then(|| format!("`{stem}_ids` is not an array of `uuid`"));
    }
    if (name.ends_with("_at") || name == "timestamp") && (ty, format) != ("string", "date-time") {
        return Some(format!("the time `{name}` is not a string with format `date-time`"));
    }
    if name.ends_with("_seconds") && ty != "integer" {
        return Some(format!("the duration `{name}` is not an integer"));
    }
    let is_number = ty == "integer" || ty == "number";
    (is_number && OTHER_UNITS.iter().any(|unit| name.ends_with(unit)))
        .then(|| format!("the duration `{name}` is not given in `_seconds`"))
}

/// Every reference leads to something in this document.
fn unresolved(doc: &Value, report: &mut Report) {
    let mut targets = BTreeSet::new();
    references(doc, &mut targets);
    for target in targets {
        let is_there = target.strip_prefix('#').is_some_and(|pointer| doc.pointer(pointer).is_some());
        report.expect(is_there, "4-references", target, "leads nowhere");
    }
}
