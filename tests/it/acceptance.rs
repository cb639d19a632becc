//! `docs/acceptance.md`: what it claims, and that it is current.

use std::{collections::BTreeSet, fs};

use harness::generate::{acceptance, tree};

/// The ids of rows; the list has titles of sections as well, whose ids have no number.
fn row_ids() -> BTreeSet<String> {
    let is_row = |id: &str| id.ends_with(|last: char| last.is_ascii_digit());
    openapi::committed_rows().into_iter().flatten().map(|row| row.id).filter(|id| is_row(id)).collect()
}

#[test]
fn no_test_claims_a_row_that_does_not_exist() {
    let rows = row_ids();
    let mut unknown = acceptance::claims(&tree::load(&tree::root()).unwrap());
    unknown.retain(|(row, _)| !rows.contains(row));
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn no_row_is_named_without_being_claimed() {
    // A claim ends with a colon; without it the comment is prose, and the row stays open by mistake.
    let rows = row_ids();
    let mut lost = Vec::new();
    for source in tree::load(&tree::root()).unwrap() {
        if !source.is_rust() || !acceptance::may_claim(&source.path) {
            continue;
        }
        let claimed: BTreeSet<_> =
            acceptance::claims(std::slice::from_ref(&source)).into_iter().map(|(row, _)| row).collect();
        let comments = source.text.lines().filter_map(|line| line.trim().strip_prefix("/// "));
        let first_words = comments.filter_map(|comment| comment.split([',', ' ', ':']).next());
        lost.extend(
            first_words
                .filter(|word| rows.contains(*word) && !claimed.contains(*word))
                .map(|word| format!("{}: {word}", source.path)),
        );
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn the_committed_page_is_current() {
    let root = tree::root();
    let page = acceptance::page(&tree::load(&root).unwrap()).unwrap();
    let committed = fs::read_to_string(root.join(acceptance::PATH)).unwrap_or_default();
    assert!(!committed.contains("## Unknown rows"), "{} names rows that do not exist", acceptance::PATH);
    assert_eq!(committed, page, "{} is out of date: run `make gen`", acceptance::PATH);
}
