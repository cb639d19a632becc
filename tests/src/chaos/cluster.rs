//! A PostgreSQL cluster of its own, which a run may kill and stop.
//!
//! Its files are in a folder of its own, it listens on a free port of 127.0.0.1 only, and it runs as the user `postgres`
//! where the run is root's, because PostgreSQL refuses root.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::process::Command;

use crate::free_port;

/// How long the cluster may take to start.
const START: Duration = Duration::from_secs(60);

/// A cluster; it is killed and its folder removed when this is dropped.
pub struct Cluster {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Its files.
    pub folder: PathBuf,
    programs: PathBuf,
    is_root: bool,
}

impl Cluster {
    /// Creates and starts one; `None` where PostgreSQL's server is not installed.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Option<Self> {
        let programs = newest_programs()?;
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("gatepost-postgres-{port}"));
        fs::create_dir_all(&folder).expect("a folder");
        let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let cluster = Self { port, folder, programs, is_root };
        if is_root {
            let owned = Command::new("chown").arg("postgres").arg(&cluster.folder).status().await.expect("chown");
            assert!(owned.success(), "the folder must be the user postgres's");
        }
        let data = cluster.data();
        let made = cluster.run("initdb", &format!("-D {} -U postgres -A trust -E UTF8 -N", data.display())).await;
        assert!(made, "initdb failed");
        cluster.launch().await;
        Some(cluster)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Runs one of PostgreSQL's programs; whether it succeeded.
    async fn run(&self, program: &str, arguments: &str) -> bool {
        let line = format!("cd {} && {} {arguments}", self.folder.display(), self.programs.join(program).display());
        let mut command = if self.is_root {
            let mut command = Command::new("su");
            command.args(["postgres", "-s", "/bin/sh", "-c", &line]);
            command
        } else {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", &line]);
            command
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().await.is_ok_and(|status| status.success())
    }

    /// Starts it with what is on its disk. Processes of the one that was killed may still be ending: it is tried again.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn launch(&self) {
        let begin = Instant::now();
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c max_connections=200 -c shared_buffers=32MB",
            self.port,
            self.folder.display()
        );
        let (data, log) = (self.data(), self.folder.join("log"));
        let arguments = format!("start -w -t 20 -D {} -l {} -o '{options}'", data.display(), log.display());
        while !self.run("pg_ctl", &arguments).await {
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(begin.elapsed() < START, "PostgreSQL does not start: {said}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// SIGKILL to the process that all others of the cluster depend on.
    ///
    /// # Panics
    /// When it does not die.
    pub async fn kill(&self) {
        let Some(pid) = self.pid() else { return };
        drop(Command::new("kill").arg("-KILL").arg(&pid).status().await);
        let begin = Instant::now();
        while Path::new("/proc").join(&pid).join("exe").exists() && begin.elapsed() < START {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops it as an operator does in a hurry: sessions are ended in whatever they do.
    pub async fn stop_at_once(&self) {
        self.run("pg_ctl", &format!("stop -w -m immediate -D {}", self.data().display())).await;
    }

    /// Stops it in order, ending sessions.
    pub async fn stop(&self) {
        self.run("pg_ctl", &format!("stop -w -m fast -D {}", self.data().display())).await;
    }

    fn pid(&self) -> Option<String> {
        let text = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        text.lines().next().map(|line| line.trim().to_owned())
    }

    /// Address of one of its databases, over `port`.
    #[must_use]
    pub fn url(port: u16, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/{database}")
    }
}

fn newest_programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin"));
    versions.filter(|bin| bin.join("initdb").is_file()).max()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            drop(std::process::Command::new("kill").arg("-KILL").arg(pid).stderr(Stdio::null()).status());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}
