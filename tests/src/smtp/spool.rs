//! Accepted messages as files, for shell scripts that look into a folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use super::record::lock;

/// A folder of `<n>.eml`, counted on from the highest number that is already there.
pub(super) struct Spool {
    dir: PathBuf,
    last: Mutex<u64>,
}

impl Spool {
    pub(super) fn open(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let mut last = 0;
        for entry in fs::read_dir(&dir)? {
            last = last.max(number(&entry?.path()).unwrap_or(0));
        }
        Ok(Self { dir, last: Mutex::new(last) })
    }

    /// Writes one message; the file appears under its name only when it is whole.
    pub(super) fn write(&self, data: &[u8]) -> io::Result<()> {
        let mut last = lock(&self.last);
        let number = *last + 1;
        let partial = self.dir.join(format!(".{number}.partial"));
        fs::write(&partial, data)?;
        fs::rename(&partial, self.dir.join(format!("{number}.eml")))?;
        *last = number;
        Ok(())
    }
}

fn number(path: &Path) -> Option<u64> {
    if path.extension()? != "eml" {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}
