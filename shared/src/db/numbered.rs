//! Statements with very many parameters.

use sea_orm::{DbBackend, Statement, Value};

/// A statement whose parameters are `$1`, `$2`, … in this order, each once.
///
/// PostgreSQL takes them as they are. To SQLite `$1` is a name: it finds one by walking the list of all names, when it
/// parses the statement and again when it binds the value, so that a batch of thousands of values takes most of its time for
/// that. There they become the nameless `?`. What is not in this order stays as it is.
#[must_use]
pub fn numbered(engine: DbBackend, sql: String, values: impl IntoIterator<Item = Value>) -> Statement {
    let sql = if engine == DbBackend::Sqlite { nameless(&sql).unwrap_or(sql) } else { sql };
    Statement::from_sql_and_values(engine, sql, values)
}

/// `None` when a parameter is out of order.
fn nameless(sql: &str) -> Option<String> {
    let mut text = String::with_capacity(sql.len());
    let mut parts = sql.split('$');
    text.push_str(parts.next()?);
    for (number, part) in (1_usize..).zip(parts) {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let digits = part.strip_suffix(rest)?;
        if digits.parse() != Ok(number) {
            return None;
        }
        text.push('?');
        text.push_str(rest);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::nameless;

    #[test]
    fn numbers_in_order_become_nameless() {
        let sql = "SELECT a FROM t WHERE b = $1 AND c IN ($2, $3) LIMIT 7";
        assert_eq!(nameless(sql).as_deref(), Some("SELECT a FROM t WHERE b = ? AND c IN (?, ?) LIMIT 7"));
        let many = (1..=120).map(|number| format!("${number}")).collect::<Vec<_>>().join(",");
        assert_eq!(nameless(&many).map(|text| text.matches('?').count()), Some(120));
        assert_eq!(nameless("SELECT 1").as_deref(), Some("SELECT 1"));
    }

    #[test]
    fn other_orders_stay() {
        for sql in ["a = $2 AND b = $1", "a = $1 OR b = $1", "a = '$' AND b = $1", "a = $12"] {
            assert_eq!(nameless(sql), None, "{sql}");
        }
    }
}
