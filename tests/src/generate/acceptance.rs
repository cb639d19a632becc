//! `docs/acceptance.md`: every requirement with the tests that show it.

use super::tree::Source;

/// The file.
pub const PATH: &str = "docs/acceptance.md";

/// The page.
///
/// # Errors
/// When the list of requirements is malformed.
pub fn page(sources: &[Source]) -> anyhow::Result<String> {
    Ok(openapi::render_acceptance(&openapi::committed_rows()?, &claims(sources)))
}

/// Which tests claim which rows: (row, `path::function`), sorted.
#[must_use]
pub fn claims(sources: &[Source]) -> Vec<(String, String)> {
    let tests: Vec<_> = sources
        .iter()
        .filter(|source| source.is_rust() && may_claim(&source.path))
        .map(|source| (source.path.clone(), source.text.clone()))
        .collect();
    openapi::collect_tests(&tests)
}

/// Tests are in the integration binary and beside the code. Those of the collector itself have claims as test data.
#[must_use]
pub fn may_claim(path: &str) -> bool {
    let in_sources = path.split('/').nth(1) == Some("src");
    (path.starts_with("tests/it/") || in_sources) && path != "openapi/src/tests/acceptance.rs"
}
