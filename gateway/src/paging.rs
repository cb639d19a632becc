//! Cursor pages: `?limit=1..200&cursor=` → `{items, next_cursor?}`.
//!
//! One row more than the page is read; when it exists there is a next page, and the cursor names the last row shown.

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
    fn limits_are_bounded() {
        assert_eq!(rows_to_read(None), 51);
        assert_eq!(rows_to_read(Some(0)), 2);
        assert_eq!(rows_to_read(Some(9999)), 201);
    }
}
