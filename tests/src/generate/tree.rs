//! The sources of the workspace as text.
//!
//! Build output, dependencies and hidden folders are not sources; what is no text is skipped.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What the names of text files end in.
const TEXT: [&str; 12] = ["rs", "md", "toml", "sh", "sql", "yaml", "yml", "json", "html", "txt", "css", "js"];

/// One source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path from the root, with `/` between the parts.
    pub path: String,
    /// Its content.
    pub text: String,
}

impl Source {
    /// Whether it is Rust code.
    #[must_use]
    pub fn is_rust(&self) -> bool {
        self.ends_in("rs")
    }

    /// Whether it is a page of documentation.
    #[must_use]
    pub fn is_page(&self) -> bool {
        self.ends_in("md")
    }

    fn ends_in(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|end| end == extension)
    }
}

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.parent().unwrap_or(folder).to_owned()
}

/// All sources, ordered by path.
///
/// # Errors
/// When a folder or file cannot be read.
pub fn load(root: &Path) -> io::Result<Vec<Source>> {
    let mut sources = Vec::new();
    walk(root, "", &mut sources)?;
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

fn walk(folder: &Path, prefix: &str, sources: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        if entry.file_type()?.is_dir() {
            if !name.starts_with('.') && !name.starts_with("target") && name != "node_modules" {
                walk(&entry.path(), &path, sources)?;
            }
        } else if Path::new(&name).extension().is_some_and(|end| TEXT.iter().any(|text| end == *text)) {
            let text =
                fs::read_to_string(entry.path()).map_err(|error| io::Error::other(format!("{path}: {error}")))?;
            sources.push(Source { path, text });
        }
    }
    Ok(())
}
