//! The rules that the committed document keeps, checked on the document alone.
//!
//! ```text
//! document ─┬─ operations: ids, tags, words, security, paths, parameters, pages, idempotency
//!           ├─ responses: bodies, success statuses, error ranges
//!           └─ schemas: names, shapes, null, enums, ids and times, references
//! ```
//!
//! Each [`Violation`] names the rule by the number it has in the design of the document. Not checkable here: whether the
//! committed file is current (the drift test does that), whether an operation is public by mistake, whether an open
//! string documents its values, and whether a secret stands only in a `*Created` schema.
//!
//! Invariants: pure, stable order, no panic on malformed documents.

mod names;
mod operations;
mod responses;
mod schemas;

use std::fmt;

use serde_json::Value;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Where: `GET /api/jobs …` or `components.schemas.Job…`.
    pub place: String,
    /// Which rule: its number and a short name, such as `2-operation-id`.
    pub rule: &'static str,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} [{}]: {}", self.place, self.rule, self.message)
    }
}

/// Exceptions that the product declares, each by name so that it can be seen in review.
#[derive(Debug, Clone, Copy, Default)]
pub struct LintOptions<'a> {
    /// Paths that may stand outside `/api` (capture routes, health checks).
    pub outside_api: &'a [&'a str],
    /// Components that only responses use and that are closed sets for good, so that `enum` is right.
    pub closed_enums: &'a [&'a str],
    /// Components whose field names another standard gives (`WebAuthn`, for example).
    pub foreign_schemas: &'a [&'a str],
    /// Further fields that end in `_id` without being uuids, because somebody else issues them.
    pub foreign_ids: &'a [&'a str],
}

/// Checks a document without exceptions.
#[must_use]
pub fn lint(doc: &Value) -> Vec<Violation> {
    lint_with(doc, &LintOptions::default())
}

/// Checks a document; `options` holds the declared exceptions.
#[must_use]
pub fn lint_with(doc: &Value, options: &LintOptions<'_>) -> Vec<Violation> {
    let mut report = Report::default();
    operations::check(doc, options, &mut report);
    responses::check(doc, &mut report);
    schemas::check(doc, options, &mut report);
    report.violations.sort();
    report.violations.dedup();
    report.violations
}

/// Collects violations.
#[derive(Default)]
struct Report {
    violations: Vec<Violation>,
}

impl Report {
    fn add(&mut self, rule: &'static str, place: impl Into<String>, message: impl Into<String>) {
        self.violations.push(Violation { place: place.into(), rule, message: message.into() });
    }

    /// Reports unless `holds`.
    fn expect(&mut self, holds: bool, rule: &'static str, place: &str, message: &str) {
        if !holds {
            self.add(rule, place, message);
        }
    }
}
