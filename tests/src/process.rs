//! Real processes of the executable, for tests that kill them.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use shared::ids;
use tokio::process::{Child, Command};

/// The executable, built by `cargo build` into the folder of this test's own executable.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn executable(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    // Tests are in target/<profile>/deps, executables beside that folder.
    find(&test, name)
        .unwrap_or_else(|| panic!("{name} is missing beside {}: run `cargo build --workspace --bins`", test.display()))
}

/// Whether there is an executable of this build.
#[must_use]
pub fn is_built(name: &str) -> bool {
    std::env::current_exe().is_ok_and(|test| find(&test, name).is_some())
}

fn find(test: &Path, name: &str) -> Option<PathBuf> {
    test.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A port that is free now, and that this process gives to nobody else. It is below those that systems give to outgoing
/// connections by themselves, one of which could otherwise take it before its server does.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that run side by side begin at different places.
    let begin = std::process::id().wrapping_mul(97);
    let ports = (0..COUNT).map(|_| FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT);
    let mut ports = ports.filter_map(|port| u16::try_from(port).ok());
    ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// A client for processes of this machine.
///
/// # Panics
/// When it cannot be set up.
#[must_use]
pub fn http_client() -> reqwest::Client {
    // The first one of this process sets TLS up; without it no client can be built, not even for plain HTTP.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("a client")
}

/// One process of an installation.
pub struct Process {
    child: Child,
    /// Where its log goes.
    pub log: PathBuf,
}

impl Process {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(&mut self) {
        drop(self.child.kill().await);
    }

    /// Sends a signal by name, such as `TERM` or `STOP`.
    pub async fn signal(&self, name: &str) {
        if let Some(pid) = self.pid() {
            drop(Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().await);
        }
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends; true for exit code 0.
    pub async fn wait(&mut self, patience: Duration) -> Option<bool> {
        let ended = tokio::time::timeout(patience, self.child.wait()).await.ok()?;
        ended.ok().map(|status| status.success())
    }
}

/// Configuration that the processes of one installation share, in a folder of its own.
pub struct Installation {
    /// Its folder: database, mailbox, logs.
    pub folder: PathBuf,
    variables: Vec<(String, String)>,
    /// The executable that its processes are.
    pub program: &'static str,
}

impl Installation {
    /// An installation without any process yet.
    ///
    /// # Panics
    /// When its folder cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("gatepost-installation-{}", ids::next()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let variables = vec![
            ("GATEPOST__TELEMETRY__METRICS_LISTEN".to_owned(), String::new()),
            ("GATEPOST__PASSWORD__MEMORY_KIB".to_owned(), "1024".to_owned()),
        ];
        Self { folder, variables, program: "gatepost" }
    }

    /// Runs another executable than `gatepost`.
    #[must_use]
    pub fn running(mut self, program: &'static str) -> Self {
        self.program = program;
        self
    }

    /// Sets `SECTION__KEY`.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.variables.push((format!("GATEPOST__{key}"), value.to_owned()));
        self
    }

    /// A command with this installation's configuration.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(executable(self.program));
        command.args(arguments).current_dir(&self.folder).envs(self.variables.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Starts a process.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(&self, name: &str, arguments: &[&str]) -> Process {
        self.start_with(name, arguments, &[])
    }

    /// Starts a process with further settings of its own.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_with(&self, name: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Process {
        let mut command = self.command(arguments);
        command.envs(settings.iter().map(|(key, value)| (format!("GATEPOST__{key}"), *value)));
        self.spawn(name, command)
    }

    /// Starts a process of a [`Installation::command`] that was given more.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(&self, name: &str, mut command: Command) -> Process {
        let log = self.folder.join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        command.stdout(Stdio::null()).stderr(file);
        Process { child: command.spawn().expect("a process"), log }
    }

    /// Waits until an address answers 200.
    ///
    /// # Panics
    /// When it does not in time; the logs are in the message.
    pub async fn wait_for(&self, url: &str, patience: Duration) {
        let client = http_client();
        let begin = Instant::now();
        loop {
            let answer = client.get(url).timeout(Duration::from_secs(2)).send().await;
            if answer.as_ref().is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            assert!(begin.elapsed() < patience, "{url} is not ready: {answer:?}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Every line that any of its processes has logged.
    #[must_use]
    pub fn log_lines(&self) -> Vec<String> {
        let logs = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let logs = logs.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "log"));
        logs.flat_map(|entry| {
            let text = std::fs::read(entry.path()).unwrap_or_default();
            String::from_utf8_lossy(&text).lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
    }

    /// The ends of all logs.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                text.push_str(&format!("--- {}\n{}", entry.path().display(), read_tail(&entry.path())));
            }
        }
        text
    }
}

fn read_tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

impl Default for Installation {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }
}
