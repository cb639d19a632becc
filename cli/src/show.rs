//! `gatepost config` and `gatepost openapi`: what this executable would do and what it offers.

use std::path::Path;

use crate::output;

/// The API document, normalised, as it is committed.
pub fn openapi() -> anyhow::Result<String> {
    Ok(openapi::render(&gateway::spec::document()?))
}

/// Prints the effective configuration; values that hold secrets are masked.
pub fn config(file: Option<&Path>) -> anyhow::Result<()> {
    output::print(&shared::config::effective(file)?);
    Ok(())
}
