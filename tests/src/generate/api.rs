//! What the gateway publishes: its operations and its problems.

use std::collections::BTreeMap;

use anyhow::bail;
use openapi::ProblemRow;
use shared::fault::ProblemKind;

/// `openapi/openapi.json`.
///
/// # Errors
/// When two features describe one operation.
pub fn document() -> anyhow::Result<String> {
    Ok(openapi::render(&gateway::spec::document()?))
}

/// `openapi/problems.md`.
///
/// # Errors
/// When a code stands for two kinds.
pub fn problems() -> anyhow::Result<String> {
    let mut kinds: BTreeMap<&str, &ProblemKind> = BTreeMap::new();
    for kind in gateway::problem_kinds::all() {
        if let Some(other) = kinds.insert(kind.code, kind)
            && other != kind
        {
            bail!("the problem code `{}` stands for two kinds: {other:?} and {kind:?}", kind.code);
        }
    }
    let rows: Vec<_> = kinds
        .values()
        .map(|kind| ProblemRow { code: kind.code, status: kind.status, title: kind.title, help: kind.help })
        .collect();
    Ok(openapi::render_problems(&rows))
}
