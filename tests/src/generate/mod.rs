//! The generated files: `make gen` writes them, `make check` fails when one of them is out of date.
//!
//! ```text
//! operations of the gateway ─────────────► openapi/openapi.json
//! problem kinds of domain and edge ──────► openapi/problems.md
//! catalog of jobs + table of payloads ───► openapi/jobs.schema.json
//! acceptance rows + sources of tests ────► docs/acceptance.md
//! migrations on an empty database ───────► migrations/schema.sqlite.sql, migrations/schema.postgres.sql
//! ```
//!
//! Invariants: the same sources give the same bytes, on every machine; a file is written only when it differs. Without a
//! PostgreSQL that answers, the dump of its schema stays as it is, and that is said.

pub mod acceptance;
pub mod api;
pub mod jobs;
pub mod schema;
pub mod tree;

use std::{fs, io, path::Path};

use anyhow::Context as _;

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Its path from the root of the workspace.
    pub path: &'static str,
    /// Its content.
    pub text: String,
}

/// All files that need no server.
///
/// # Errors
/// When what they are made of contradicts itself, or a source cannot be read.
pub async fn offline(root: &Path) -> anyhow::Result<Vec<Generated>> {
    Ok(vec![
        Generated { path: "openapi/openapi.json", text: api::document()? },
        Generated { path: "openapi/problems.md", text: api::problems()? },
        Generated { path: "openapi/jobs.schema.json", text: jobs::schema()? },
        Generated { path: acceptance::PATH, text: acceptance::page(&tree::load(root)?)? },
        Generated { path: "migrations/schema.sqlite.sql", text: schema::sqlite::dump().await? },
    ])
}

/// Writes all files; what happened goes to `notes`, one line each.
///
/// # Errors
/// As [`offline`], or when a file cannot be written.
pub async fn write_all(root: &Path, notes: &mut impl io::Write) -> anyhow::Result<()> {
    let mut files = offline(root).await?;
    let postgres = "migrations/schema.postgres.sql";
    match schema::postgres::dump().await? {
        schema::postgres::Dump::Made(text) => files.push(Generated { path: postgres, text }),
        schema::postgres::Dump::Skipped(reason) => {
            writeln!(notes, "gen: {postgres} stays as it is, because PostgreSQL does not answer: {reason}")?;
        }
    }
    for file in files {
        let path = root.join(file.path);
        if fs::read_to_string(&path).ok().as_deref() != Some(&file.text) {
            fs::write(&path, &file.text).with_context(|| path.display().to_string())?;
            writeln!(notes, "gen: wrote {}", file.path)?;
        }
    }
    Ok(())
}
