//! `migrations/schema.sqlite.sql`: what SQLite says about a file that only the migrations have touched.

use std::path::Path;

use anyhow::Context as _;
use sea_orm::{ConnectionTrait, Statement};
use shared::{config, db::Db, ids, secret::Redacted};

/// Tables by name, each with its indexes and triggers.
const OBJECTS: &str = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
    ORDER BY tbl_name, CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, name";

/// The dump.
///
/// # Errors
/// When the temporary database cannot be written or a migration fails.
pub async fn dump() -> anyhow::Result<String> {
    let folder = std::env::temp_dir().join(format!("gatepost-gen-{}", ids::next()));
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let dumped = dump_in(&folder).await;
    std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    dumped
}

async fn dump_in(folder: &Path) -> anyhow::Result<String> {
    let mut settings = config::load_from(None, std::iter::empty())?.database;
    settings.url = Redacted::new(format!("sqlite://{}", folder.join("empty.db").display()));
    let db = Db::connect(&settings).await?;
    migrations::run(db.writer()).await?;
    let mut dump = super::head("SQLite");
    let mut is_table = false;
    for row in db.reader().query_all_raw(Statement::from_string(db.engine(), OBJECTS)).await? {
        let sql: String = row.try_get("", "sql")?;
        let was_table = std::mem::replace(&mut is_table, sql.starts_with("CREATE TABLE"));
        if is_table || was_table {
            dump.push('\n');
        }
        dump.push_str(&if is_table { lines(&sql) } else { sql });
        dump.push_str(";\n");
    }
    Ok(dump)
}

/// A statement with one line for each column and constraint.
fn lines(sql: &str) -> String {
    let (mut text, mut depth, mut quote) = (String::new(), 0_usize, None);
    for letter in sql.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(letter),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_outer = quote.is_none() && depth <= 1;
        match letter {
            '(' if is_outer => text.push_str("(\n    "),
            ',' if is_outer && depth == 1 => text.push_str(",\n    "),
            ')' if is_outer && depth == 0 => {
                text.truncate(text.trim_end().len());
                text.push_str("\n)");
            }
            ' ' if text.ends_with(char::is_whitespace) => {}
            _ => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn each_column_has_a_line() {
        let sql =
            "CREATE TABLE \"a,(\" ( \"id\" int NOT NULL, \"b\" text DEFAULT ',)', UNIQUE (\"id\", \"b\") ) STRICT";
        let expected = "CREATE TABLE \"a,(\" (\n    \"id\" int NOT NULL,\n    \"b\" text DEFAULT ',)',\n    \
                        UNIQUE (\"id\", \"b\")\n) STRICT";
        assert_eq!(lines(sql), expected);
    }
}
