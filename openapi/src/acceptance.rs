//! `docs/acceptance.md`: every requirement with the tests that show it, or **open**.
//!
//! ```text
//! acceptance-rows.txt ─ parse_rows ──┐
//! test sources ─ collect_tests ──────┴─ render_acceptance ─► Markdown
//! ```
//!
//! A test claims rows in its doc comment: `/// C06: …`, `/// C06, T-RST-03: …` or `/// A10 A11: …`. Everything before the
//! first colon must be row ids, otherwise the comment claims nothing. Ignored tests claim nothing: they prove nothing.
//!
//! Invariants: stable output; a claim of a row that does not exist is listed, not lost. Limits: sources are read line by
//! line, so a test that a macro writes, and text that looks like a test inside a raw string, are judged as they stand.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fmt::Write as _,
};

/// The committed list of rows: `id<TAB>text` per line, an id without digits names its section.
const COMMITTED_ROWS: &str = include_str!("../acceptance-rows.txt");

/// What a row's text starts with when the requirement no longer applies.
const DROPPED: &str = "(dropped";

/// A requirement, or the title of a section when the id has no number (`A`, `W`, `ID`, `T-RST`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `C06`, `W05`, `ID-07` or `T-RST-03`.
    pub id: String,
    /// One line.
    pub text: String,
}

/// A line of the row list that is not `id<TAB>text`, or an id that stands twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "acceptance rows, line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for RowError {}

/// Reads a list of rows. Empty lines and lines that start with `#` are skipped.
///
/// # Errors
/// A line without a tab, with an id that is neither a row's nor a section's, without a text, or with an id seen before.
pub fn parse_rows(list: &str) -> Result<Vec<Row>, RowError> {
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, line) in list.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let fail = |message: String| RowError { line: index + 1, message };
        let (id, text) = line.split_once('\t').ok_or_else(|| fail("there is no tab".to_owned()))?;
        let (id, text) = (id.trim(), text.trim());
        if !is_row_id(id) && !is_section(id) {
            return Err(fail(format!("`{id}` is no row id")));
        }
        if text.is_empty() {
            return Err(fail(format!("`{id}` has no text")));
        }
        if !seen.insert(id) {
            return Err(fail(format!("`{id}` stands twice")));
        }
        rows.push(Row { id: id.to_owned(), text: text.to_owned() });
    }
    Ok(rows)
}

/// The rows of `openapi/acceptance-rows.txt`, as compiled in.
///
/// # Errors
/// When the committed file is malformed, which a test excludes.
pub fn committed_rows() -> Result<Vec<Row>, RowError> {
    parse_rows(COMMITTED_ROWS)
}

/// Finds the tests that claim rows. `sources` are (path, text) pairs; the result is (row id, `path::function`), sorted.
#[must_use]
pub fn collect_tests(sources: &[(String, String)]) -> Vec<(String, String)> {
    let mut claims = BTreeSet::new();
    for (path, text) in sources {
        let mut pending = Pending::default();
        for line in text.lines() {
            if let Some((ids, name)) = pending.take_line(line.trim()) {
                claims.extend(ids.into_iter().map(|id| (id, format!("{path}::{name}"))));
            }
        }
    }
    claims.into_iter().collect()
}

/// What stands before a function: its doc comment and attributes so far.
#[derive(Default)]
struct Pending {
    docs: Vec<String>,
    open_attribute: String,
    is_test: bool,
    is_ignored: bool,
}

impl Pending {
    /// Takes the next line; answers the claimed ids and the name when it is a test function that claims rows.
    fn take_line(&mut self, line: &str) -> Option<(Vec<String>, String)> {
        if self.open_attribute.is_empty() {
            if let Some(doc) = line.strip_prefix("///") {
                self.docs.push(doc.trim().to_owned());
                return None;
            }
            if line.is_empty() || line.starts_with("//") {
                return None;
            }
        }
        let mut rest = line;
        while !self.open_attribute.is_empty() || rest.starts_with("#[") {
            self.open_attribute.push_str(rest);
            let end = attribute_end(&self.open_attribute)?;
            let attribute = std::mem::take(&mut self.open_attribute);
            self.attribute(attribute.get(..end).unwrap_or_default());
            let left = attribute.get(end..).unwrap_or_default().trim().len();
            rest = line.get(line.len() - left.min(line.len())..).unwrap_or_default();
            if rest.is_empty() {
                return None;
            }
        }
        let found = std::mem::take(self);
        let name = function_name(rest)?;
        let ids = claimed_ids(&found.docs.join(" "));
        (found.is_test && !found.is_ignored && !ids.is_empty()).then_some((ids, name))
    }

    fn attribute(&mut self, attribute: &str) {
        let path = attribute.trim_start_matches("#[").split(['(', ']', '=']).next().unwrap_or_default().trim();
        let last = path.rsplit("::").next().unwrap_or_default();
        self.is_test |= last == "test" || last == "rstest" || last.ends_with("_test");
        self.is_ignored |= last == "ignore";
    }
}

/// Where the attribute at the start of `text` ends, if it does.
fn attribute_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '[' if !in_string => depth += 1,
            ']' if !in_string => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The name in `pub async fn name(…`, or `None` when the line starts no function.
fn function_name(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    words
        .find(|word| !["pub", "pub(crate)", "pub(super)", "async", "const", "unsafe", "extern", "\"C\""].contains(word))
        .filter(|word| *word == "fn")?;
    let name: String = words.next()?.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The ids before the first colon, or nothing when anything else stands there.
fn claimed_ids(doc: &str) -> Vec<String> {
    let Some((head, _)) = doc.split_once(':') else { return Vec::new() };
    let words: Vec<&str> = head.split([',', ' ']).filter(|word| !word.is_empty()).collect();
    if words.iter().all(|word| is_row_id(word)) { words.into_iter().map(str::to_owned).collect() } else { Vec::new() }
}

/// `C06`, `W05`, `ID-07`, `T-RST-03`.
fn is_row_id(id: &str) -> bool {
    let section = section_of(id);
    let number = id.strip_prefix(section).unwrap_or_default();
    let number = if section.len() > 1 { number.strip_prefix('-').unwrap_or_default() } else { number };
    is_section(section) && number.len() == 2 && number.bytes().all(|digit| digit.is_ascii_digit())
}

/// `A`, `ID`, `T-RST`.
fn is_section(id: &str) -> bool {
    let is_upper = |text: &str| !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_uppercase());
    id == "ID" || id.strip_prefix("T-").map_or(id.len() == 1 && is_upper(id), is_upper)
}

/// The part of an id before its number.
fn section_of(id: &str) -> &str {
    id.trim_end_matches(|letter: char| letter.is_ascii_digit()).trim_end_matches('-')
}

/// The order of sections: single letters, then `ID`, then the attack and fault rows.
fn section_rank(section: &str) -> (u8, &str) {
    let class = if section.len() == 1 { 0 } else { 1 + u8::from(section != "ID") };
    (class, section)
}

/// A section with its title and rows.
#[derive(Default)]
struct Section<'a> {
    title: &'a str,
    rows: Vec<(&'a Row, Vec<&'a str>)>,
}

impl Section<'_> {
    fn dropped(&self) -> usize {
        self.rows.iter().filter(|(row, _)| row.text.starts_with(DROPPED)).count()
    }

    /// Rows that apply and have a test.
    fn shown(&self) -> usize {
        self.rows.iter().filter(|(row, tests)| !row.text.starts_with(DROPPED) && !tests.is_empty()).count()
    }
}

/// The Markdown of `docs/acceptance.md` from rows and the claims that [`collect_tests`] found.
#[must_use]
pub fn render_acceptance(rows: &[Row], tests: &[(String, String)]) -> String {
    let mut by_row: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (id, test) in tests {
        by_row.entry(id).or_default().insert(test);
    }
    let mut sections: BTreeMap<(u8, &str), Section<'_>> = BTreeMap::new();
    for row in rows {
        let section = sections.entry(section_rank(section_of(&row.id))).or_default();
        if is_section(&row.id) {
            section.title = &row.text;
        } else {
            let shown_by = by_row.remove(row.id.as_str()).unwrap_or_default();
            section.rows.push((row, shown_by.into_iter().collect()));
        }
    }
    let mut page =
        "# Acceptance\n\nEach requirement and the tests that show it. A test names its rows in its doc comment. \
                    This file is generated.\n\n"
            .to_owned();
    summary(&mut page, &sections);
    for ((_, id), section) in &mut sections {
        section.rows.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        let _ = write!(
            page,
            "\n## {id}{}{}\n\n| row | requirement | tests |\n|---|---|---|\n",
            if section.title.is_empty() { "" } else { " · " },
            section.title
        );
        for (row, tests) in &section.rows {
            let _ = writeln!(page, "| {} | {} | {} |", row.id, cell(&row.text), test_cell(row, tests));
        }
    }
    if !by_row.is_empty() {
        page.push_str("\n## Unknown rows\n\nThese tests name rows that do not exist.\n\n");
        for (id, tests) in by_row {
            let _ = writeln!(
                page,
                "- {id}: {}",
                tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join(", ")
            );
        }
    }
    page
}

fn summary(page: &mut String, sections: &BTreeMap<(u8, &str), Section<'_>>) {
    page.push_str("| section | rows | shown | open |\n|---|---:|---:|---:|\n");
    let (mut all, mut shown) = (0, 0);
    for ((_, id), section) in sections {
        let count = section.rows.len() - section.dropped();
        let _ =
            writeln!(page, "| {id} {} | {count} | {} | {} |", section.title, section.shown(), count - section.shown());
        all += count;
        shown += section.shown();
    }
    let _ = writeln!(page, "| **all** | {all} | {shown} | {} |", all - shown);
}

fn test_cell(row: &Row, tests: &[&str]) -> String {
    if row.text.starts_with(DROPPED) {
        return "–".to_owned();
    }
    if tests.is_empty() {
        return "**open**".to_owned();
    }
    tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join("<br>")
}

/// Text for a table cell: no bars, and no markup outside code.
fn cell(text: &str) -> String {
    let parts: Vec<String> = text
        .replace('|', "\\|")
        .split('`')
        .enumerate()
        .map(|(index, part)| if index % 2 == 0 { part.replace('<', "&lt;") } else { part.to_owned() })
        .collect();
    parts.join("`")
}
