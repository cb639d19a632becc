//! A RabbitMQ of the tests' own, which they may kill and starve.
//!
//! ```text
//! Node::start() ── rabbitmq-server on its own port ──► URL        drop: SIGKILL
//! kill_and_start(): SIGKILL by pid, start again with what is on disk
//! ```
//!
//! There is one at a time, because a kill or an alarm concerns the whole node. It runs as the user `rabbitmq`, whose
//! Erlang cookie rabbitmqctl uses as well, and keeps its files in a folder that is removed at the end.

use std::{
    fs,
    net::TcpStream,
    process::{Command, Stdio},
};

use tokio::sync::{Mutex, MutexGuard};

use super::*;

/// The node's name.
pub(super) const NAME: &str = "gatepost-test@localhost";
/// Where it is.
pub(super) const URL: &str = "amqp://guest:guest@127.0.0.1:5792";
const ADDRESS: &str = "127.0.0.1:5792";
const FOLDER: &str = "/tmp/gatepost-test-rabbitmq";

static TURN: Mutex<()> = Mutex::const_new(());

/// The node, for one test.
pub(super) struct Node {
    _turn: MutexGuard<'static, ()>,
}

impl Node {
    /// Starts it; `None` unless the environment asks for it.
    #[expect(clippy::disallowed_methods, reason = "tests are told by the environment that they may start a broker")]
    pub(super) async fn start() -> Option<Self> {
        std::env::var("TEST_AMQP_NODE").ok()?;
        let turn = TURN.lock().await;
        kill();
        drop(fs::remove_dir_all(FOLDER));
        fs::create_dir_all(FOLDER).unwrap();
        fs::write(format!("{FOLDER}/rabbitmq.conf"), format!("listeners.tcp.local = {ADDRESS}\n")).unwrap();
        assert!(Command::new("chown").args(["-R", "rabbitmq", FOLDER]).status().unwrap().success());
        let node = Self { _turn: turn };
        launch().await;
        Some(node)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        kill();
        drop(fs::remove_dir_all(FOLDER));
    }
}

/// Kills the node without warning and starts it again with what it had on disk.
pub(super) async fn kill_and_start() {
    kill();
    launch().await;
}

async fn launch() {
    let environment = [
        "HOME=/var/lib/rabbitmq".to_owned(),
        format!("RABBITMQ_NODENAME={NAME}"),
        format!("RABBITMQ_CONFIG_FILE={FOLDER}/rabbitmq.conf"),
        format!("RABBITMQ_MNESIA_BASE={FOLDER}/mnesia"),
        format!("RABBITMQ_LOG_BASE={FOLDER}/log"),
        format!("RABBITMQ_ENABLED_PLUGINS_FILE={FOLDER}/plugins"),
        format!("RABBITMQ_PID_FILE={FOLDER}/pid"),
        "RABBITMQ_CONF_ENV_FILE=/dev/null".to_owned(),
        "RABBITMQ_DIST_PORT=25792".to_owned(),
    ];
    let loopback = "ERL_FLAGS='-kernel inet_dist_use_interface {127,0,0,1}'";
    let server = "/usr/lib/rabbitmq/bin/rabbitmq-server -detached";
    let line = format!("cd {FOLDER} && {} {loopback} {server}", environment.join(" "));
    let mut command = Command::new("su");
    command.args(["rabbitmq", "-s", "/bin/sh", "-c", &line]).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().unwrap().success());
    let started = Instant::now();
    while TcpStream::connect(ADDRESS).is_err() {
        assert!(started.elapsed() < Duration::from_mins(1), "the node does not start");
        sleep(Duration::from_millis(100)).await;
    }
    ctl(Some(NAME), &["await_startup"]).await;
}

/// SIGKILL to the process of the pid file, if there is one.
fn kill() {
    let Ok(pid) = fs::read_to_string(format!("{FOLDER}/pid")) else { return };
    drop(Command::new("kill").args(["-9", pid.trim()]).stderr(Stdio::null()).status());
    let started = Instant::now();
    while TcpStream::connect(ADDRESS).is_ok() && started.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
}
