//! The normal form, on what poem-openapi really writes and on edge cases.

use serde_json::{Value, json};

use super::sample;
use crate::{document::operations, normalise, render, to_3_1};

fn with_schema(schema: &Value) -> Value {
    json!({
        "paths": { "/api/things": { "post": {
            "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } } }
        } } },
        "components": { "schemas": { "Thing": schema, "Role": { "type": "string", "enum": ["a", "b"] } } }
    })
}

fn thing(schema: &Value) -> Value {
    normalise(&with_schema(schema))["components"]["schemas"]["Thing"].clone()
}

#[test]
fn it_is_idempotent_and_stable() {
    let once = sample::normalised();
    assert_eq!(normalise(&once), once);
    assert_eq!(render(&normalise(&once)), render(&once));
    assert_eq!(normalise(&sample::good()), sample::good());
}

#[test]
fn head_is_3_0_3_without_members_of_3_1() {
    let doc = normalise(&json!({
        "openapi": "3.0.0", "webhooks": { "x": {} },
        "info": { "title": "t", "summary": "s", "version": "1", "license": { "name": "MIT", "identifier": "MIT" } }
    }));
    assert_eq!(doc["openapi"], "3.0.3");
    assert!(doc.get("webhooks").is_none());
    assert_eq!(doc["info"], json!({ "title": "t", "version": "1", "license": { "name": "MIT" } }));
}

#[test]
fn no_media_type_keeps_a_charset() {
    assert!(!render(&sample::normalised()).contains("charset"));
}

#[test]
fn every_operation_has_the_two_error_ranges_and_explicit_security() {
    let doc = sample::normalised();
    assert_eq!(operations(&doc).len(), 4);
    for operation in operations(&doc) {
        assert!(operation.body["security"].is_array(), "{}", operation.place());
        for range in ["4XX", "5XX"] {
            let content = &operation.body["responses"][range]["content"];
            let types: Vec<_> = content.as_object().unwrap().keys().cloned().collect();
            assert_eq!(types, ["application/json", "application/problem+json"]);
            for media in types {
                assert_eq!(content[&media]["schema"]["$ref"], "#/components/schemas/Problem");
            }
        }
        assert!(operation.body["responses"].get("409").is_none());
    }
    assert_eq!(doc["paths"]["/api/users/@me/api_keys"]["post"]["security"], json!([]));
}

#[test]
fn what_single_statuses_said_moves_to_the_range() {
    let doc = sample::normalised();
    let refused = &doc["paths"]["/api/users/@me/api_keys"]["post"]["responses"]["4XX"];
    assert_eq!(refused["description"], "The request was refused; `code` says why.\n\n- 409: Label taken.");
    assert_eq!(refused["headers"]["Retry-After"]["schema"]["type"], "integer");
    assert!(refused["headers"]["Retry-After"].get("deprecated").is_none());
}

#[test]
fn a_problem_of_the_gateway_is_kept_and_an_absent_one_is_added() {
    let mine = json!({ "type": "object", "description": "mine", "properties": { "code": { "type": "string" } } });
    let mut raw = sample::raw();
    raw["components"]["schemas"]["Problem"] = mine.clone();
    assert_eq!(normalise(&raw)["components"]["schemas"]["Problem"], mine);
    let added = sample::normalised()["components"]["schemas"]["Problem"].clone();
    assert_eq!(added["required"], json!(["type", "title", "status", "code"]).sorted());
    assert_eq!(added["properties"]["errors"]["items"]["$ref"], "#/components/schemas/FieldProblem");
}

/// `required` is a set; the normal form sorts it.
trait Sorted {
    fn sorted(self) -> Value;
}

impl Sorted for Value {
    fn sorted(self) -> Value {
        let mut items: Vec<String> =
            self.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect();
        items.sort();
        json!(items)
    }
}

#[test]
fn unsigned_formats_become_standard_ones_with_bounds() {
    let key = sample::normalised()["components"]["schemas"]["ApiKey"]["properties"].clone();
    assert_eq!(key["port"], json!({ "type": "integer", "format": "int32", "minimum": 0, "maximum": 65_535 }));
    assert_eq!(key["n"], json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": 4_294_967_295_i64 }));
    assert_eq!(key["big"], json!({ "type": "integer", "format": "int64", "minimum": 0 }));
    assert_eq!(
        key["small"],
        json!({ "type": "integer", "format": "int32", "minimum": 1, "maximum": 9 }),
        "a stated bound stays"
    );
}

#[test]
fn fractions_of_numbers_stay() {
    let number =
        json!({ "type": "object", "properties": { "share": { "type": "number", "minimum": 1.0, "maximum": 1.5 } } });
    assert_eq!(thing(&number), number);
}

#[test]
fn fields_that_may_be_omitted_leave_required() {
    let key = sample::normalised()["components"]["schemas"]["ApiKey"].clone();
    let required: Vec<_> = key["required"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert!(!required.contains(&"scopes"), "its doc comment says: Omitted when empty");
    assert!(!required.contains(&"more"), "it has a default");
    assert!(required.contains(&"label"));
    assert!(required.is_sorted());
}

#[test]
fn the_marker_counts_only_at_the_start_of_a_sentence() {
    let field = |words: &str| json!({ "type": "array", "items": { "type": "string" }, "description": words });
    let schema = thing(&json!({
        "type": "object", "required": ["b", "a", "c", "a"],
        "properties": { "a": field("It is not Omitted when empty."), "b": field("Names.\n\nOmitted when empty."), "c": field("c") }
    }));
    assert_eq!(schema["required"], json!(["a", "c"]));
    let none =
        thing(&json!({ "type": "object", "required": ["a"], "properties": { "a": field("Omitted when empty.") } }));
    assert!(none.get("required").is_none(), "an empty list is not valid");
}

#[test]
fn the_wrapper_around_a_documented_reference_collapses() {
    let schemas = sample::normalised()["components"]["schemas"].clone();
    assert_eq!(schemas["ApiKey"]["properties"]["role"], json!({ "$ref": "#/components/schemas/Role" }));
    let role = schemas["UpdateApiKey"]["properties"]["role"].clone();
    assert_eq!(
        role,
        json!({ "type": "string", "description": "Roles.", "enum": ["owner", "member"], "nullable": true })
    );
    let policy = schemas["UpdateApiKey"]["properties"]["policy"].clone();
    assert_eq!(
        policy,
        json!({ "allOf": [{ "$ref": "#/components/schemas/Policy" }], "nullable": true }),
        "left for the lint"
    );
}

#[test]
fn a_wrapped_reference_that_may_be_omitted_leaves_required_too() {
    let schema = thing(&json!({
        "type": "object", "required": ["role"],
        "properties": { "role": {
            "description": "Omitted when unset.",
            "allOf": [{ "$ref": "#/components/schemas/Role" }, { "description": "Omitted when unset." }]
        } }
    }));
    assert_eq!(schema, json!({ "type": "object", "properties": { "role": { "$ref": "#/components/schemas/Role" } } }));
}

#[test]
fn a_real_composition_is_left_for_the_lint() {
    let composed = json!({ "allOf": [{ "$ref": "#/components/schemas/Role" }, { "type": "string", "maxLength": 3 }] });
    assert_eq!(thing(&composed), composed);
}

#[test]
fn free_form_values_are_spelled_true() {
    let key = sample::normalised()["components"]["schemas"]["ApiKey"]["properties"].clone();
    assert_eq!(key["extra"], json!({ "type": "object", "additionalProperties": true }));
}

#[test]
fn properties_named_like_keywords_are_no_keywords() {
    let odd = json!({ "type": "object", "properties": {
        "format": { "type": "string", "example": { "type": "integer", "format": "uint16" } },
        "items": { "type": "string" }, "allOf": { "type": "string" }
    } });
    assert_eq!(thing(&odd), odd);
}

#[test]
fn headers_get_their_canonical_spelling() {
    let doc = sample::normalised();
    assert_eq!(doc["paths"]["/api/users/@me/api_keys"]["post"]["parameters"][0]["name"], "Idempotency-Key");
    let delete = &doc["paths"]["/api/users/@me/api_keys/{api_key_id}"]["delete"]["parameters"];
    assert_eq!(delete[0]["name"], "Idempotency-Key");
    assert_eq!(delete[1]["name"], "api_key_id");
    let odd = normalise(&json!({ "paths": { "/a": { "get": { "parameters": [
        { "in": "header", "name": "www-authenticate" }, { "in": "header", "name": "my_key" }, { "in": "query", "name": "q" }
    ] } } } }));
    let names: Vec<_> =
        odd["paths"]["/a"]["get"]["parameters"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["WWW-Authenticate", "My_key", "q"], "an underscore is another header and stays");
}

#[test]
fn pages_are_named_after_their_item() {
    let doc = sample::normalised();
    let schemas = doc["components"]["schemas"].as_object().unwrap();
    assert!(schemas.contains_key("ApiKeyPage") && !schemas.contains_key("Page_ApiKey"));
    let list =
        &doc["paths"]["/api/users/@me/api_keys"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(*list, json!({ "$ref": "#/components/schemas/ApiKeyPage" }));
    assert!(schemas.iter().all(|(_, schema)| schema.get("title").is_none()));
}

#[test]
fn schemas_that_nothing_uses_are_dropped() {
    let doc = sample::normalised();
    assert!(doc["components"]["schemas"].get("Prob").is_none(), "only a replaced error used it");
    assert!(doc["components"]["schemas"].get("FieldProblem").is_some());
}

#[test]
fn known_security_schemes_are_described_and_added_when_named() {
    let doc = sample::normalised();
    let schemes = &doc["components"]["securitySchemes"];
    assert_eq!(schemes["session_cookie"]["name"], "gatepost_session", "a declared scheme keeps its definition");
    assert!(schemes["session_cookie"]["description"].is_string());
    let good = sample::good();
    assert_eq!(good["components"]["securitySchemes"]["api_key"]["scheme"], "bearer");
    assert!(good["components"]["securitySchemes"].get("project_secret_key").is_none(), "nobody names it");
}

#[test]
fn empty_descriptions_of_answers_are_filled() {
    let doc = sample::normalised();
    let item = &doc["paths"]["/api/users/@me/api_keys/{api_key_id}"];
    assert_eq!(item["delete"]["responses"]["204"]["description"], "Done; there is no body.");
    assert_eq!(doc["paths"]["/api/users/@me/api_keys"]["post"]["responses"]["201"]["description"], "Created.");
}

#[test]
fn malformed_documents_are_no_panic() {
    for odd in [
        json!(null),
        json!([]),
        json!({ "paths": 1, "components": [] }),
        json!({ "paths": { "/a": { "get": 1, "post": { "parameters": {}, "responses": [], "requestBody": 3 } } } }),
        json!({ "components": { "schemas": { "Page_": 1, "A": { "required": 1, "allOf": [] } }, "securitySchemes": 1 } }),
    ] {
        let doc = normalise(&odd);
        assert_eq!(normalise(&doc), doc);
        let _ = (to_3_1(&doc), crate::lint(&doc), crate::lint(&odd));
    }
}

#[test]
fn rendering_sorts_and_ends_with_a_newline() {
    assert_eq!(
        render(&json!({ "b": 1, "a": { "d": [2, 1], "c": null } })),
        "{\n  \"a\": {\n    \"c\": null,\n    \"d\": [\n      2,\n      1\n    ]\n  },\n  \"b\": 1\n}\n"
    );
}

#[test]
fn the_copy_for_3_1_has_null_types_and_numeric_bounds() {
    let doc = normalise(&with_schema(&json!({ "type": "object", "properties": {
        "a": { "type": "string", "nullable": true, "enum": ["x"], "example": "x" },
        "b": { "type": "integer", "minimum": 0, "exclusiveMinimum": true, "maximum": 9, "exclusiveMaximum": false },
        "c": { "allOf": [{ "$ref": "#/components/schemas/Role" }, { "type": "string" }], "nullable": true },
        "nullable": { "type": "boolean" }
    } })));
    let copy = to_3_1(&doc);
    assert_eq!(copy["openapi"], "3.1.0");
    let fields = &copy["components"]["schemas"]["Thing"]["properties"];
    assert_eq!(fields["a"], json!({ "type": ["string", "null"], "enum": ["x", null], "examples": ["x"] }));
    assert_eq!(fields["b"], json!({ "type": "integer", "exclusiveMinimum": 0, "maximum": 9 }));
    assert_eq!(fields["c"]["anyOf"][1], json!({ "type": "null" }));
    assert_eq!(fields["nullable"], json!({ "type": "boolean" }));
    assert!(!render(&to_3_1(&sample::normalised())).contains("\"nullable\""));
}
