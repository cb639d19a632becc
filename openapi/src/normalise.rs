//! From the generator's raw document to the committed one.
//!
//! ```text
//! raw ─ head (3.0.3, no webhooks) ─ page names ─ operations (media types, headers, errors, security) ─ schemas ─ prune ─ sort
//! ```
//!
//! What is changed and why: media types lose `; charset=utf-8`; unsigned integer formats become `int32`/`int64` with
//! bounds; `allOf` wrappers around a reference collapse; fields that a response may leave out leave `required`; errors
//! become the ranges `4XX` and `5XX` with the component `Problem`; every operation says its `security`.
//!
//! Invariants: idempotent; object keys sorted; never panics. A document that cannot be brought into form is left as it
//! is there, and [`crate::lint()`] reports it.
//!
//! Limits, because the raw document does not hold more:
//! - poem-openapi emits nothing for `skip_serializing_if_is_empty`, so such a field cannot be told from a mandatory one.
//!   Two ways to say it: `#[oai(default, skip_serializing_if_is_empty)]` (a `default` means "not required"), or a field
//!   doc comment with a sentence that starts with [`OMITTED_MARKER`].
//! - a doc comment on a field whose type is a component is lost: OpenAPI 3.0 ignores what stands beside a `$ref`.
//! - an operation without a security requirement is taken for public (`security: []`).

use serde_json::{Map, Value, json};

use crate::{derive_3_1, document, errors, schemas, security};

/// A field whose description has a sentence starting with these words is dropped from `required`.
pub const OMITTED_MARKER: &str = "Omitted when ";

/// The version of the specification that the committed document follows.
pub const OPENAPI_VERSION: &str = "3.0.3";

/// Turns the raw document of poem-openapi 5.1.16 into the committed one.
///
/// Read the text with [`crate::parse_raw`], not with `serde_json::from_str`: the raw text repeats keys.
#[must_use]
pub fn normalise(raw: &Value) -> Value {
    let mut doc = raw.clone();
    head(&mut doc);
    schemas::rename_pages(&mut doc);
    document::each_operation_mut(&mut doc, operation);
    errors::declare(&mut doc);
    schemas::tidy(&mut doc);
    security::describe(&mut doc);
    schemas::prune(&mut doc);
    document::sorted(&doc)
}

/// A copy as OpenAPI 3.1.0, for the interactive docs page: `nullable` becomes a `null` type, bounds become numbers.
#[must_use]
pub fn to_3_1(doc: &Value) -> Value {
    derive_3_1::derive(doc)
}

/// Canonical text: keys sorted, two spaces, one newline at the end.
#[must_use]
pub fn render(doc: &Value) -> String {
    format!("{:#}\n", document::sorted(doc))
}

/// Sets the version and removes the members that only OpenAPI 3.1 knows.
fn head(doc: &mut Value) {
    let Some(doc) = doc.as_object_mut() else { return };
    doc.insert("openapi".to_owned(), json!(OPENAPI_VERSION));
    doc.remove("webhooks");
    if let Some(info) = doc.get_mut("info").and_then(Value::as_object_mut) {
        info.remove("summary");
        if let Some(license) = info.get_mut("license").and_then(Value::as_object_mut) {
            license.remove("identifier");
        }
    }
}

/// Brings one operation into form.
fn operation(operation: &mut Map<String, Value>) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        name_header(parameter);
        drop_false(parameter, "deprecated");
    }
    if let Some(body) = operation.get_mut("requestBody") {
        plain_media_types(body);
    }
    for (status, response) in document::members_mut(operation.get_mut("responses")) {
        plain_media_types(response);
        name_response_headers(response);
        describe_success(status, response);
    }
    errors::replace_by_ranges(operation);
    operation.entry("security").or_insert_with(|| json!([]));
}

/// Strips parameters such as `; charset=utf-8` from the media types of a body.
fn plain_media_types(holder: &mut Value) {
    let Some(content) = holder.get_mut("content").and_then(Value::as_object_mut) else { return };
    *content = std::mem::take(content)
        .into_iter()
        .map(|(media, schema)| (media.split(';').next().unwrap_or_default().trim().to_owned(), schema))
        .collect();
}

fn name_header(parameter: &mut Value) {
    if document::text(parameter, "in") != "header" {
        return;
    }
    let name = canonical_header(document::text(parameter, "name"));
    if let Some(parameter) = parameter.as_object_mut() {
        parameter.insert("name".to_owned(), Value::String(name));
    }
}

fn name_response_headers(response: &mut Value) {
    let Some(headers) = response.get_mut("headers").and_then(Value::as_object_mut) else { return };
    *headers = std::mem::take(headers).into_iter().map(|(name, header)| (canonical_header(&name), header)).collect();
    for (_, header) in headers.iter_mut() {
        drop_false(header, "deprecated");
    }
}

/// `IDEMPOTENCY-KEY` → `Idempotency-Key`. Underscores stay: they would be another header on the wire.
fn canonical_header(name: &str) -> String {
    for special in ["WWW-Authenticate", "ETag", "DPoP"] {
        if name.eq_ignore_ascii_case(special) {
            return special.to_owned();
        }
    }
    let words: Vec<String> = name
        .split('-')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_uppercase().collect::<String>() + &letters.as_str().to_lowercase()
            })
        })
        .collect();
    words.join("-")
}

fn drop_false(holder: &mut Value, key: &str) {
    if let Some(holder) = holder.as_object_mut()
        && holder.get(key) == Some(&Value::Bool(false))
    {
        holder.remove(key);
    }
}

/// A response description is mandatory, the generator leaves it empty for plain payloads.
fn describe_success(status: &str, response: &mut Value) {
    let words = match status {
        "200" => "Done.",
        "201" => "Created.",
        "202" => "Accepted; the work happens later.",
        "204" => "Done; there is no body.",
        _ if status.starts_with('3') => "Go on at the address in `Location`.",
        _ if status.starts_with('2') => "Done.",
        _ => return,
    };
    if document::text(response, "description").trim().is_empty()
        && let Some(response) = response.as_object_mut()
    {
        response.insert("description".to_owned(), json!(words));
    }
}
