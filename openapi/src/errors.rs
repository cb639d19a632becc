//! Errors in the document: two ranges per operation, one schema.
//!
//! Every failure is described as `4XX` and `5XX` with the component `Problem`, as `application/json` and as
//! `application/problem+json` (sorted keys put them in this order; clients take the first). Per-status responses and
//! `default` of the raw document disappear; what they documented stays as a list in the range's description, and their
//! headers move to the range.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::document::{members, reference, text};

/// The media types of an error body, in the order of the document.
pub(crate) const ERROR_MEDIA_TYPES: [&str; 2] = ["application/json", "application/problem+json"];

/// The two ranges, the first digit of their statuses, and their words.
const RANGES: [(&str, char, &str); 2] = [
    ("4XX", '4', "The request was refused; `code` says why."),
    ("5XX", '5', "The request could not be served now; it may be sent again."),
];

/// Replaces the error responses of an operation by the two ranges.
pub(crate) fn replace_by_ranges(operation: &mut Map<String, Value>) {
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    let Some(responses) = responses.as_object_mut() else { return };
    let (errors, successes): (Map<_, _>, Map<_, _>) =
        std::mem::take(responses).into_iter().partition(|(status, _)| is_error(status));
    *responses = successes;
    for (range, digit, words) in RANGES {
        responses.insert(range.to_owned(), range_response(&errors, range, digit, words));
    }
}

fn is_error(status: &str) -> bool {
    status.starts_with(['4', '5']) || status == "default"
}

fn range_response(errors: &Map<String, Value>, range: &str, digit: char, words: &str) -> Value {
    let earlier = errors.get(range).map_or("", |response| text(response, "description").trim());
    let mut description = if earlier.is_empty() { words.to_owned() } else { earlier.to_owned() };
    let mut headers = Map::new();
    let mut statuses: Vec<_> = errors.iter().filter(|(status, _)| status.starts_with(digit)).collect();
    statuses.sort_by_key(|(status, _)| *status);
    for (status, response) in statuses {
        let said = text(response, "description").trim();
        if status != range && !said.is_empty() {
            let separator = if description.contains("\n- ") { "\n" } else { "\n\n" };
            let _ = write!(description, "{separator}- {status}: {}", said.replace('\n', " "));
        }
        headers.extend(members(response.get("headers")).map(|(name, header)| (name.to_owned(), header.clone())));
    }
    let content: Map<_, _> = ERROR_MEDIA_TYPES
        .iter()
        .map(|media| ((*media).to_owned(), json!({ "schema": reference("Problem") })))
        .collect();
    let mut response = json!({ "description": description, "content": content });
    if let (false, Some(response)) = (headers.is_empty(), response.as_object_mut()) {
        response.insert("headers".to_owned(), Value::Object(headers));
    }
    response
}

/// Adds the components `Problem` and `FieldProblem` where they are absent.
pub(crate) fn declare(doc: &mut Value) {
    let Some(doc) = doc.as_object_mut() else { return };
    let components = doc.entry("components").or_insert_with(|| json!({}));
    let Some(components) = components.as_object_mut() else { return };
    let schemas = components.entry("schemas").or_insert_with(|| json!({}));
    let Some(schemas) = schemas.as_object_mut() else { return };
    schemas.entry("Problem").or_insert_with(problem);
    schemas.entry("FieldProblem").or_insert_with(field_problem);
}

/// RFC 9457 problem details with the members that this API adds.
fn problem() -> Value {
    json!({
        "type": "object",
        "description": "Why a request failed (RFC 9457). Members that do not apply are absent.",
        "required": ["type", "title", "status", "code"],
        "properties": {
            "type": { "type": "string", "format": "uri", "description": "Address of the documentation of `code`." },
            "title": { "type": "string", "description": "A short sentence for people; it may change." },
            "status": { "type": "integer", "format": "int32", "description": "The HTTP status." },
            "code": { "type": "string", "description": "What went wrong, for programs. An open set: expect unknown values." },
            "detail": { "type": "string", "description": "What happened in this case." },
            "instance": { "type": "string", "description": "The id of the request; name it when you ask for help." },
            "retry_after_seconds": {
                "type": "integer", "format": "int32", "minimum": 0,
                "description": "When to try again, as in the `Retry-After` header."
            },
            "errors": {
                "type": "array", "items": reference("FieldProblem"),
                "description": "Every field that was refused."
            }
        }
    })
}

fn field_problem() -> Value {
    json!({
        "type": "object",
        "description": "A field that was refused.",
        "required": ["pointer", "code"],
        "properties": {
            "pointer": { "type": "string", "description": "JSON pointer into the body (RFC 6901), such as `/password`." },
            "code": { "type": "string", "description": "What is wrong with it, for programs. An open set." },
            "detail": { "type": "string", "description": "What is wrong with it, for people." }
        }
    })
}
