//! `migrations/schema.postgres.sql`: what PostgreSQL's catalogs say about a schema that only the migrations have touched.
//!
//! The text is made here and not by `pg_dump`, so that it does not depend on anybody's version. It has functions, and
//! tables with columns, constraints, indexes and triggers; the migrations make nothing else.

use std::{fmt::Write as _, time::Duration};

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, Statement};
use shared::ids;

/// The server that is asked when `GATEPOST_TEST_POSTGRES` names none.
const DEFAULT_URL: &str = "postgres://root@127.0.0.1:5432/postgres";

const TABLES: &str = "SELECT table_name::text AS name FROM information_schema.tables
    WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'";

const COLUMNS: &str = "SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) || CASE
        WHEN a.attidentity <> '' THEN ' GENERATED AS IDENTITY' WHEN d.adbin IS NULL THEN ''
        ELSE ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END AS body
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = quote_ident($1)::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

const CONSTRAINTS: &str = "SELECT conname::text AS name, pg_get_constraintdef(oid) AS body FROM pg_constraint
    WHERE conrelid = quote_ident($1)::regclass AND contype IN ('p', 'u', 'f', 'c', 'x')";

const INDEXES: &str = "SELECT i.indexname::text AS name, i.indexdef AS body FROM pg_indexes i
    WHERE i.schemaname = current_schema() AND i.tablename = $1 AND NOT EXISTS
        (SELECT 1 FROM pg_constraint c WHERE c.conindid = quote_ident(i.indexname)::regclass AND c.contype <> 'f')";

const TRIGGERS: &str = "SELECT tgname::text AS name, pg_get_triggerdef(oid) AS body FROM pg_trigger
    WHERE tgrelid = quote_ident($1)::regclass AND NOT tgisinternal";

const FUNCTIONS: &str = "SELECT p.proname::text AS name, p.proname || '(' || pg_get_function_identity_arguments(p.oid)
        || ') RETURNS ' || pg_get_function_result(p.oid) || ' LANGUAGE ' || l.lanname || ' AS $$' || p.prosrc || '$$' AS body
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace = quote_ident($1)::regnamespace";

/// What became of the dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dump {
    /// The text.
    Made(String),
    /// There is no PostgreSQL to ask: why.
    Skipped(String),
}

/// The dump, made in a schema of its own that is dropped again.
///
/// # Errors
/// When a migration fails, or the server that `GATEPOST_TEST_POSTGRES` names does not let us in.
pub async fn dump() -> anyhow::Result<Dump> {
    let named = std::env::var_os("GATEPOST_TEST_POSTGRES").filter(|url| !url.is_empty());
    let named = named.map(|url| url.to_string_lossy().into_owned());
    let schema = format!("gen_{}", ids::next().simple());
    let db = match open(named.as_deref().unwrap_or(DEFAULT_URL), &schema).await {
        Ok(db) => db,
        Err(error) if named.is_none() => return Ok(Dump::Skipped(error.to_string())),
        Err(error) => return Err(anyhow::Error::new(error).context("GATEPOST_TEST_POSTGRES")),
    };
    let dumped = dump_schema(&db, &schema).await;
    db.execute_unprepared(&format!("DROP SCHEMA {schema} CASCADE")).await?;
    Ok(Dump::Made(dumped?))
}

async fn open(url: &str, schema: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(2)
        .connect_timeout(Duration::from_secs(5))
        .acquire_timeout(Duration::from_secs(5))
        .sqlx_logging(false)
        .set_schema_search_path(schema);
    let db = Database::connect(options).await?;
    db.execute_unprepared(&format!("CREATE SCHEMA {schema}")).await?;
    Ok(db)
}

async fn dump_schema(db: &DatabaseConnection, schema: &str) -> Result<String, DbErr> {
    migrations::run(db).await?;
    let mut tables = Vec::new();
    for row in db.query_all_raw(Statement::from_string(DbBackend::Postgres, TABLES)).await? {
        tables.push(row.try_get::<String>("", "name")?);
    }
    tables.sort();
    let mut dump = super::head("PostgreSQL");
    for (_, body) in sorted(ask(db, FUNCTIONS, schema).await?) {
        // A String takes every write.
        let _ = writeln!(dump, "\nCREATE FUNCTION {body};");
    }
    for table in tables {
        let mut lines = Vec::new();
        for (name, body) in ask(db, COLUMNS, &table).await? {
            lines.push(format!("    {name} {body}"));
        }
        for (name, body) in sorted(ask(db, CONSTRAINTS, &table).await?) {
            lines.push(format!("    CONSTRAINT {name} {body}"));
        }
        let _ = writeln!(dump, "\nCREATE TABLE {table} (\n{}\n);", lines.join(",\n"));
        let mut further = sorted(ask(db, INDEXES, &table).await?);
        further.extend(sorted(ask(db, TRIGGERS, &table).await?));
        if !further.is_empty() {
            dump.push('\n');
        }
        for (_, body) in further {
            let _ = writeln!(dump, "{body};");
        }
    }
    Ok(dump.replace(&format!("{schema}."), ""))
}

/// Names and descriptions of a table's parts.
async fn ask(db: &DatabaseConnection, sql: &str, table: &str) -> Result<Vec<(String, String)>, DbErr> {
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [table.into()]);
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(|row| Ok((row.try_get("", "name")?, row.try_get("", "body")?))).collect()
}

/// By name, whatever the server's collation is.
fn sorted(mut parts: Vec<(String, String)>) -> Vec<(String, String)> {
    parts.sort();
    parts
}
