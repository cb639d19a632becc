//! Rows, claims, and the page that joins them.

use std::collections::BTreeSet;

use crate::acceptance::{Row, collect_tests, committed_rows, parse_rows, render_acceptance};

fn claims(text: &str) -> Vec<(String, String)> {
    collect_tests(&[("t.rs".to_owned(), text.to_owned())])
}

fn ids(text: &str) -> Vec<String> {
    claims(text).into_iter().map(|(id, _)| id).collect()
}

fn row(id: &str, text: &str) -> Row {
    Row { id: id.to_owned(), text: text.to_owned() }
}

#[test]
fn the_committed_rows_are_complete_and_short() {
    let rows = committed_rows().unwrap();
    let ids: BTreeSet<_> = rows.iter().map(|row| row.id.as_str()).collect();
    for id in ["A01", "A22", "C21", "R10", "W01", "W40", "ID-01", "ID-60", "T-LOGIN-01", "T-SUP-01", "T-WA-12", "T-RST"]
    {
        assert!(ids.contains(id), "{id}");
    }
    assert_eq!(rows.iter().filter(|row| row.id.ends_with(|last: char| last.is_ascii_digit())).count(), 506);
    assert!(rows.iter().all(|row| row.text.chars().count() <= 160));
}

#[test]
fn malformed_rows_name_their_line() {
    for (list, words) in [
        ("A01 no tab", "line 1: there is no tab"),
        ("# c\n\nA1\tx", "line 3: `A1` is no row id"),
        ("A01\t ", "`A01` has no text"),
        ("A01\tx\nA01\ty", "line 2: `A01` stands twice"),
        ("ID-7\tx", "is no row id"),
        ("T-rst-01\tx", "is no row id"),
        ("X-01\tx", "is no row id"),
        ("\tx", "is no row id"),
        ("é01\tx", "is no row id"),
    ] {
        let error = parse_rows(list).unwrap_err().to_string();
        assert!(error.contains(words), "{list:?}: {error}");
    }
    assert_eq!(parse_rows("A\tLogin\nA01\tx\ty\n").unwrap(), [row("A", "Login"), row("A01", "x\ty")]);
}

#[test]
fn tests_claim_one_or_several_rows() {
    assert_eq!(claims("/// C06: once\n#[test]\nfn spent() {}\n"), [("C06".to_owned(), "t.rs::spent".to_owned())]);
    assert_eq!(ids("/// C06, T-RST-03: once\n#[test]\nfn a() {}\n"), ["C06", "T-RST-03"]);
    assert_eq!(ids("/// A10 A11: names\n#[test]\nfn a() {}\n"), ["A10", "A11"]);
    assert_eq!(ids("/// ID-07, W05,\n/// A10: on two lines\n#[test]\nfn a() {}\n"), ["A10", "ID-07", "W05"]);
}

#[test]
fn any_test_attribute_counts() {
    for attribute in [
        "#[test]",
        "#[tokio::test]",
        "#[tokio::test(flavor = \"multi_thread\")]",
        "#[tokio::test(\n    flavor = \"multi_thread\",\n    worker_threads = 2\n)]",
        "#[rstest]",
        "#[harness::both_engines_test]",
        "#[expect(dead_code, reason = \"a ] b\")]\n#[test]",
        "#[test] #[should_panic(expected = \"[x\")]",
    ] {
        let text = format!("mod a {{\n    /// A01: x\n    {attribute}\n    pub(crate) async fn works() {{\n}}");
        assert_eq!(claims(&text), [("A01".to_owned(), "t.rs::works".to_owned())], "{attribute}");
    }
    assert_eq!(ids("/// A01: x\n#[test] fn one_line() {}"), ["A01"]);
    assert_eq!(ids("#[test]\n/// A01: x\n\n// why\nfn after() {}"), ["A01"]);
}

#[test]
fn what_is_no_test_claims_nothing() {
    for text in [
        "/// A01: x\nfn helper() {}",
        "/// A01: x\n#[cfg(test)]\nfn helper() {}",
        "/// A01: x\n#[cfg_attr(unix, test)]\nfn helper() {}",
        "/// A01: x\nstruct S;\n#[test]\nfn a() {}",
        "/// A01: x\n#[test]\n#[ignore = \"slow\"]\nfn a() {}",
        "/// Shows A01: x\n#[test]\nfn a() {}",
        "/// A01 without a colon\n#[test]\nfn a() {}",
        "/// a01: x\n#[test]\nfn a() {}",
        "// A01: x\n#[test]\nfn a() {}",
        "/// A01: x\n#[test",
    ] {
        assert_eq!(ids(text), [] as [&str; 0], "{text}");
    }
}

#[test]
fn claims_of_one_function_do_not_reach_the_next() {
    let text = "/// A01: x\n#[test]\nfn a() {}\n\n#[test]\nfn b() {}\n\n/// A02: y\n#[test]\nfn c() {}\n";
    assert_eq!(claims(text), [("A01".to_owned(), "t.rs::a".to_owned()), ("A02".to_owned(), "t.rs::c".to_owned())]);
}

#[test]
fn the_page_counts_and_sorts() {
    let rows = [
        row("T-RST", "Password reset"),
        row("T-RST-01", "same answer"),
        row("ID-01", "no-op"),
        row("B01", "a | b <c> `<d>`"),
        row("A", "Login"),
        row("A02", "two"),
        row("A01", "one"),
        row("A08", "(dropped: no such state)"),
    ];
    let tests = [
        ("A01".to_owned(), "x.rs::b".to_owned()),
        ("A01".to_owned(), "x.rs::a".to_owned()),
        ("Z99".to_owned(), "x.rs::typo".to_owned()),
    ];
    let page = render_acceptance(&rows, &tests);
    assert!(page.contains("| A Login | 2 | 1 | 1 |\n"), "{page}");
    assert!(page.contains("| **all** | 5 | 1 | 4 |\n"), "{page}");
    assert!(page.contains("\n## A · Login\n\n| row | requirement | tests |\n|---|---|---|\n| A01 | one | `x.rs::a`<br>`x.rs::b` |\n| A02 | two | **open** |\n| A08 | (dropped: no such state) | – |\n"), "{page}");
    assert!(page.contains("| B01 | a \\| b &lt;c> `<d>` | **open** |"), "{page}");
    let order: Vec<_> =
        ["## A", "## B", "## ID", "## T-RST", "## Unknown rows"].iter().map(|head| page.find(head).unwrap()).collect();
    assert!(order.is_sorted());
    assert!(page.ends_with("- Z99: `x.rs::typo`\n"));
    let mut shuffled = rows.to_vec();
    shuffled.reverse();
    assert_eq!(render_acceptance(&shuffled, &tests), page);
}

#[test]
fn a_page_without_tests_is_all_open() {
    let page = render_acceptance(&committed_rows().unwrap(), &[]);
    assert!(page.contains("| **all** | 505 | 0 | 505 |"), "one row is dropped");
    assert_eq!(page.matches("**open**").count(), 505);
}
