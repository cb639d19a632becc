//! Many rows, a portion to a statement.
//!
//! On PostgreSQL a portion fits into one TLS record (RFC 8446, section 5.1: 16 KiB). The driver leaves Nagle's algorithm on
//! (<https://github.com/launchbadge/sqlx/issues/4335>, mended there, not released): of a message of two records the second
//! is not sent before the first is acknowledged, for which Linux takes 40 ms.

use sea_orm::{DbBackend, Value};

/// Rows of a portion at most.
const ROWS: usize = 1_000;
/// Bytes of a portion on PostgreSQL, unless one row has more; the rest of a record is the statement's.
const BYTES: usize = 12 * 1024;
/// What a value takes beside its text.
const VALUE: usize = 20;

/// Splits rows, in their order, into portions that one statement takes each.
#[must_use]
pub fn portions<const N: usize>(engine: DbBackend, rows: Vec<[Value; N]>) -> Vec<Vec<[Value; N]>> {
    let most = if engine == DbBackend::Postgres { BYTES } else { usize::MAX };
    let (mut all, mut last, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
    for row in rows {
        let size = row.iter().map(size).sum();
        if last.len() == ROWS || (!last.is_empty() && bytes.saturating_add(size) > most) {
            all.push(std::mem::take(&mut last));
            bytes = 0;
        }
        bytes = bytes.saturating_add(size);
        last.push(row);
    }
    if !last.is_empty() {
        all.push(last);
    }
    all
}

fn size(value: &Value) -> usize {
    let text = if let Value::String(Some(text)) = value { text.len() } else { 0 };
    text + VALUE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(engine: DbBackend, texts: &[usize]) -> Vec<usize> {
        let rows: Vec<[Value; 1]> = texts.iter().map(|length| ["a".repeat(*length).into()]).collect();
        let portions = portions(engine, rows.clone());
        assert_eq!(portions.concat(), rows, "nothing is lost, and the order stays");
        portions.iter().map(Vec::len).collect()
    }

    #[test]
    fn a_portion_fits_into_a_record() {
        assert_eq!(lengths(DbBackend::Postgres, &[5_000; 5]), [2, 2, 1]);
        assert_eq!(lengths(DbBackend::Postgres, &[50_000, 10, 10, 50_000]), [1, 2, 1]);
        assert_eq!(lengths(DbBackend::Sqlite, &[5_000; 5]), [5]);
    }

    #[test]
    fn a_portion_has_not_too_many_rows() {
        assert_eq!(lengths(DbBackend::Sqlite, &[1; 2_001]), [1_000, 1_000, 1]);
        assert!(lengths(DbBackend::Postgres, &[]).is_empty());
    }
}
