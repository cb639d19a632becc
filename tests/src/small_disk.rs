//! A file system that is soon full.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

/// A file system in memory; unmounted when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of this many bytes; `None` without the right to mount.
    ///
    /// # Panics
    /// When its folder cannot be made.
    pub async fn mount(bytes: u64) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("gatepost-small-{}", shared::ids::next()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(&folder).stderr(Stdio::null());
        let is_mounted = mount.status().await.is_ok_and(|status| status.success());
        is_mounted.then_some(Self(folder))
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Fills it up; the file that takes all its room.
    ///
    /// # Panics
    /// When no file can be made on it.
    #[must_use]
    pub fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).expect("a file");
        while file.write_all(&[0; 1024]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg("-l").arg(&self.0).status());
        drop(std::fs::remove_dir(&self.0));
    }
}
