//! Rules on bodies and answers: 4 (named components, one success) and 5 (error ranges).

use serde_json::Value;

use super::Report;
use crate::{
    document::{Operation, members, operations, referenced},
    errors::ERROR_MEDIA_TYPES,
};

pub(super) fn check(doc: &Value, report: &mut Report) {
    for name in ["Problem", "FieldProblem"] {
        let is_there = doc.pointer("/components/schemas").is_some_and(|all| all.get(name).is_some());
        report.expect(is_there, "5-errors", "components.schemas", &format!("`{name}` is missing"));
    }
    for operation in operations(doc) {
        let place = operation.place();
        if let Some(body) = operation.body.get("requestBody") {
            report.expect(operation.method != "get", "4-bodies", &place, "a GET has no request body");
            content(&format!("{place} request body"), body, report);
        }
        success(&operation, &place, report);
        errors(&operation, &place, report);
    }
}

/// Rule 4: bodies that clients decode are named; media types carry no parameters.
fn content(place: &str, holder: &Value, report: &mut Report) {
    for (media, body) in members(holder.get("content")) {
        let is_bare = !media.contains(';');
        report.expect(is_bare, "4-bodies", place, &format!("the media type `{media}` carries parameters"));
        let is_structured = media.contains("json") || media.contains("form");
        if is_structured && body.get("schema").and_then(referenced).is_none() {
            report.add("4-bodies", place, format!("the schema of `{media}` is not a named component"));
        }
    }
}

/// Rule 4: one success status, one body type, 204 and redirects without content.
fn success(operation: &Operation<'_>, place: &str, report: &mut Report) {
    let successes = operation.successes();
    if successes.len() != 1 {
        let statuses: Vec<_> = successes.iter().map(|(status, _)| *status).collect();
        report.add("4-success", place, format!("needs exactly one success status, has [{}]", statuses.join(", ")));
    }
    for (status, response) in successes {
        let place = format!("{place} {status}");
        let types = members(response.get("content")).count();
        report.expect(types < 2, "4-success", &place, "has several body types");
        let is_empty = status == "204" || status.starts_with('3');
        report.expect(!is_empty || types == 0, "4-success", &place, "must have no content");
        report.expect(!status.contains('X'), "4-success", &place, "a success is one status, not a range");
        content(&place, response, report);
    }
}

/// Rule 5: exactly the two ranges, each with the two media types and `Problem`.
fn errors(operation: &Operation<'_>, place: &str, report: &mut Report) {
    for range in ["4XX", "5XX"] {
        let Some((_, response)) = operation.responses().find(|(status, _)| *status == range) else {
            report.add("5-errors", place, format!("has no `{range}` response"));
            continue;
        };
        let types: Vec<_> = members(response.get("content")).collect();
        if types.iter().map(|(media, _)| *media).ne(ERROR_MEDIA_TYPES) {
            report.add(
                "5-errors",
                place,
                format!("`{range}` does not have exactly {}", ERROR_MEDIA_TYPES.join(", then ")),
            );
        }
        for (media, body) in types {
            if body.get("schema").and_then(referenced) != Some("Problem") {
                report.add("5-errors", place, format!("`{range}` `{media}` is not a `Problem`"));
            }
        }
    }
    for (status, _) in operation.responses() {
        if (status.starts_with(['4', '5']) && !status.ends_with("XX")) || status == "default" {
            report.add("5-errors", place, format!("`{status}` stands beside the ranges"));
        }
    }
}
