//! `openapi/problems.md`: the list of problem codes, one heading per code so that `type` addresses lead to it.
//!
//! Invariant: sorted by code and status, independent of the order of the rows.

use std::fmt::Write as _;

/// Where `type` of a problem points to; the code follows.
pub const PROBLEM_BASE_URI: &str = "https://gatepost.dev/problems#";

/// A problem code as the gateway answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProblemRow {
    /// The stable code, `snake_case`.
    pub code: &'static str,
    /// The HTTP status it comes with.
    pub status: u16,
    /// The `title` member: a short sentence.
    pub title: &'static str,
    /// What to do about it.
    pub help: &'static str,
}

/// The Markdown of `openapi/problems.md`.
///
/// A code with several statuses has one heading and one line per status; identical rows appear once.
#[must_use]
pub fn render_problems(rows: &[ProblemRow]) -> String {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows.dedup();
    let mut page = format!(
        "# Problem codes\n\n\
         Errors are `application/problem+json` (RFC 9457). `code` is stable and meant for programs; `title` and `detail`\n\
         are for people and may change. `type` is `{PROBLEM_BASE_URI}<code>` and leads to the entry below.\n\
         New codes may appear at any time: treat an unknown one by its status.\n\n\
         This file is generated; `make check` fails when it differs from the code.\n"
    );
    let mut current = "";
    for row in &rows {
        if row.code != current {
            let _ = write!(page, "\n## {}\n\n| status | title | help |\n|---|---|---|\n", row.code);
            current = row.code;
        }
        let _ = writeln!(page, "| {} | {} | {} |", row.status, cell(row.title), cell(row.help));
    }
    page
}

/// Text for a table cell: one line, no bars.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
