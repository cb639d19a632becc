//! The page of problem codes.

use crate::{ProblemRow, render_problems};

const SPENT: ProblemRow =
    ProblemRow { code: "invalid_token", status: 400, title: "The link is spent", help: "Ask for a new one" };
const BUSY: ProblemRow = ProblemRow { code: "throttled", status: 429, title: "Too many", help: "Wait |\n  then retry" };

#[test]
fn the_order_of_the_rows_does_not_matter() {
    assert_eq!(render_problems(&[SPENT, BUSY]), render_problems(&[BUSY, SPENT, BUSY]));
}

#[test]
fn each_code_has_a_heading_and_a_line() {
    let page = render_problems(&[BUSY, SPENT]);
    assert!(page.starts_with("# Problem codes\n"));
    assert!(page.contains("`https://gatepost.dev/problems#<code>`"));
    assert!(page.contains("\n## invalid_token\n\n| status | title | help |\n|---|---|---|\n| 400 | The link is spent | Ask for a new one |\n"));
    assert!(page.ends_with("| 429 | Too many | Wait \\| then retry |\n"));
    assert!(page.find("## invalid_token").unwrap() < page.find("## throttled").unwrap());
}

#[test]
fn a_code_with_two_statuses_has_one_heading() {
    let page = render_problems(&[ProblemRow { status: 503, ..BUSY }, BUSY]);
    assert_eq!(page.matches("## throttled").count(), 1);
    assert!(page.contains("| 429 |") && page.contains("| 503 |"));
}
