//! Cursor pages: `?limit=1..200&cursor=` → `{items, next_cursor?}`.
//!
//! One row more than the page is read; when it exists there is a next page, and the cursor names the last row shown.

use std::str::FromStr;

use poem::Result;
use shared::fault::{Fault, FieldError, VALIDATION};

use crate::problem::problem;

/// Rows of a page unless the client says otherwise.
pub const DEFAULT_LIMIT: i32 = 50;

/// How many rows to read for a page of `limit` rows: one more, which tells whether there is a next page.
#[must_use]
pub fn rows_to_read(limit: Option<i32>) -> u64 {
    u64::try_from(limit.unwrap_or(DEFAULT_LIMIT).clamp(1, 200)).unwrap_or(1) + 1
}

/// Cuts the rows that were read to the page, and gives the cursor of the next page if there is one.
pub fn cut<T>(mut rows: Vec<T>, limit: Option<i32>, cursor_of: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
    let page = usize::try_from(rows_to_read(limit) - 1).unwrap_or(1);
    if rows.len() <= page {
        return (rows, None);
    }
    rows.truncate(page);
    let cursor = rows.last().map(cursor_of);
    (rows, cursor)
}

/// The row that a cursor names.
///
/// # Errors
/// When the text is no cursor of this server.
pub fn position<T: FromStr>(cursor: Option<&str>) -> Result<Option<T>> {
    let invalid = FieldError {
        pointer: "/cursor",
        code: "invalid",
        detail: "This is not the `next_cursor` of a page.".to_owned(),
    };
    cursor.map(str::parse).transpose().map_err(|_| problem(Fault::of(&VALIDATION).errors(vec![invalid])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_has_a_cursor_only_when_more_follows() {
        assert_eq!(cut(vec![3, 2, 1], Some(2), ToString::to_string), (vec![3, 2], Some("2".to_owned())));
        assert_eq!(cut(vec![3, 2], Some(2), ToString::to_string), (vec![3, 2], None));
        assert_eq!(cut(Vec::<i32>::new(), None, ToString::to_string), (vec![], None));
    }

    #[test]
    fn only_a_cursor_is_a_position() {
        assert_eq!(position::<i32>(None).unwrap(), None);
        assert_eq!(position::<i32>(Some("7")).unwrap(), Some(7));
        assert_eq!(position::<i32>(Some("x")).unwrap_err().status().as_u16(), 422);
    }

    #[test]
    fn limits_are_bounded() {
        assert_eq!(rows_to_read(None), 51);
        assert_eq!(rows_to_read(Some(0)), 2);
        assert_eq!(rows_to_read(Some(9999)), 201);
    }
}
