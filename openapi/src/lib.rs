//! The public description of the HTTP API: its normal form, its rules, and the documents generated beside it.
//!
//! ```text
//! OpenApiService::spec() ─ raw::parse_raw ─ normalise::normalise ─┬─ render ─► openapi/openapi.json (committed)
//!                                                                 ├─ lint::lint ─► rule violations
//!                                                                 └─ to_3_1 ─► interactive docs page
//! problem table ─ problems::render_problems ─► openapi/problems.md
//! acceptance-rows.txt + test sources ─ acceptance::render_acceptance ─► docs/acceptance.md
//! ```
//!
//! Invariants: every function is pure and deterministic (same input, same bytes), `normalise` is idempotent, and
//! nothing here panics on a malformed document: what cannot be understood is left alone and reported by `lint`.

pub mod acceptance;
mod derive_3_1;
mod document;
mod errors;
pub mod lint;
pub mod normalise;
pub mod problems;
pub mod raw;
mod schemas;
mod security;

pub use acceptance::{collect_tests, committed_rows, parse_rows, render_acceptance};
pub use lint::{LintOptions, Violation, lint, lint_with};
pub use normalise::{normalise, render, to_3_1};
pub use problems::{ProblemRow, render_problems};
pub use raw::parse_raw;

#[cfg(test)]
mod tests;
