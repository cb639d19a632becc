//! Documents for the tests: one as poem-openapi 5.1.16 writes it, one that keeps every rule.

use serde_json::{Value, json};

use crate::{normalise, parse_raw};

/// Output of `OpenApiService::spec()` for two API structs that share paths.
pub(super) const RAW: &str = include_str!("raw_document.json");

/// The raw document, read without losing operations.
pub(super) fn raw() -> Value {
    parse_raw(RAW).unwrap()
}

/// The raw document after `normalise`.
pub(super) fn normalised() -> Value {
    normalise(&raw())
}

/// A small document that keeps every rule.
pub(super) fn good() -> Value {
    normalise(&json!({
        "info": { "title": "Gatepost", "version": "1.0.0" },
        "tags": [{ "name": "api_keys" }],
        "paths": {
            "/api/users/@me/api_keys": { "get": list_keys(), "post": create_key() },
            "/api/users/@me/api_keys/{api_key_id}": { "patch": update_key(), "delete": delete_key() }
        },
        "components": { "schemas": {
            "ApiKey": {
                "type": "object",
                "required": ["id", "label", "created_at", "rolls_after_seconds"],
                "properties": {
                    "id": { "type": "string", "format": "uuid" },
                    "label": { "type": "string" },
                    "organization_ids": { "type": "array", "items": { "type": "string", "format": "uuid" } },
                    "created_at": { "type": "string", "format": "date-time" },
                    "rolls_after_seconds": { "type": "integer", "format": "int64" }
                }
            },
            "ApiKeyPage": {
                "type": "object",
                "required": ["items"],
                "properties": {
                    "items": { "type": "array", "items": { "$ref": "#/components/schemas/ApiKey" } },
                    "next_cursor": { "type": "string" }
                }
            },
            "NewApiKey": {
                "type": "object",
                "required": ["label", "kind"],
                "properties": { "label": { "type": "string" }, "kind": { "type": "string", "enum": ["read", "write"] } }
            },
            "ApiKeyChange": { "type": "object", "properties": { "label": { "type": "string", "nullable": true } } }
        } }
    }))
}

fn list_keys() -> Value {
    json!({
        "operationId": "listApiKeys", "tags": ["api_keys"], "summary": "List keys", "description": "Newest first.",
        "security": [{ "session_cookie": [] }],
        "parameters": [
            { "name": "limit", "in": "query", "schema": { "type": "integer", "format": "uint32", "minimum": 1.0, "maximum": 200.0 } },
            { "name": "cursor", "in": "query", "schema": { "type": "string" } }
        ],
        "responses": { "200": json_body("ApiKeyPage") }
    })
}

fn create_key() -> Value {
    json!({
        "operationId": "createApiKey", "tags": ["api_keys"], "summary": "Create a key", "description": "Shown once.",
        "security": [{ "session_cookie": [] }],
        "parameters": [{ "name": "Idempotency-Key", "in": "header", "schema": { "type": "string" } }],
        "requestBody": json_body("NewApiKey"),
        "responses": { "201": json_body("ApiKey") }
    })
}

fn update_key() -> Value {
    json!({
        "operationId": "updateApiKey", "tags": ["api_keys"], "summary": "Change a key", "description": "Its label.",
        "security": [{ "session_token": [] }],
        "parameters": [key_parameter()],
        "requestBody": json_body("ApiKeyChange"),
        "responses": { "200": json_body("ApiKey") }
    })
}

fn delete_key() -> Value {
    json!({
        "operationId": "deleteApiKey", "tags": ["api_keys"], "summary": "Delete a key", "description": "At once.",
        "security": [{ "api_key": [] }],
        "parameters": [key_parameter()],
        "responses": { "204": { "description": "" } }
    })
}

fn key_parameter() -> Value {
    json!({ "name": "api_key_id", "in": "path", "required": true, "schema": { "type": "string", "format": "uuid" } })
}

fn json_body(component: &str) -> Value {
    json!({
        "description": "",
        "content": {
            "application/json; charset=utf-8": { "schema": { "$ref": format!("#/components/schemas/{component}") } }
        }
    })
}
