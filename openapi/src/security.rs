//! Security schemes: every scheme that is known by name gets a description, and is added where an operation names it.
//!
//! Unknown schemes are left alone; the lint reports those without a description.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::document::{list, members, operations};

/// Name, definition and words of the schemes of this API.
fn known() -> [(&'static str, Value, &'static str); 4] {
    let bearer = json!({ "type": "http", "scheme": "bearer" });
    [
        (
            "session_cookie",
            json!({ "type": "apiKey", "in": "cookie", "name": "__Host-gatepost_session" }),
            "The session of a browser. The cookie is `__Host-gatepost_session` on https and `gatepost_session` on http. \
             Writes need an `Origin` of the same site.",
        ),
        (
            "session_token",
            bearer.clone(),
            "The session of a program: `Authorization: Bearer gpst_…`, returned once by a sign-in with \
             `session_transport` `token`.",
        ),
        (
            "api_key",
            bearer.clone(),
            "A personal API key: `Authorization: Bearer gpx_…`. It acts as its owner, within its scopes.",
        ),
        (
            "project_secret_key",
            bearer,
            "A project's secret key: `Authorization: Bearer gps_…`. It acts for the project and has no user.",
        ),
    ]
}

/// Describes the schemes that the document declares or names.
pub(crate) fn describe(doc: &mut Value) {
    let named: BTreeSet<String> = operations(doc)
        .iter()
        .flat_map(|operation| list(operation.body, "security"))
        .chain(list(doc, "security"))
        .flat_map(|requirement| members(Some(requirement)).map(|(name, _)| name.to_owned()))
        .collect();
    let Some(components) = doc.get_mut("components").and_then(Value::as_object_mut) else { return };
    let schemes = components.entry("securitySchemes").or_insert_with(|| json!({}));
    if let Some(schemes) = schemes.as_object_mut() {
        for (name, definition, words) in known() {
            if named.contains(name) {
                schemes.entry(name).or_insert(definition);
            }
            if let Some(scheme) = schemes.get_mut(name).and_then(Value::as_object_mut) {
                scheme.entry("description").or_insert_with(|| json!(words));
            }
        }
        if schemes.is_empty() {
            components.remove("securitySchemes");
        }
    }
}
