//! RabbitMQ for tests: virtual hosts of their own, and a node of their own that they may kill and starve.
//!
//! ```text
//! Vhost::on_shared()   a virtual host of the server in `TEST_AMQP_URL`, which nobody may stop
//! Node::start()        rabbitmq-server on free ports of 127.0.0.1, as the user `rabbitmq`, its files in a folder of its own
//! ```
//!
//! A node runs as `rabbitmq` because `rabbitmqctl` needs the Erlang cookie of that user. It is only ever signalled by the id
//! in its own pid file; dropping it kills it and removes its folder, dropping a virtual host deletes it.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use lapin::{
    Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
};
use shared::{broker::BrokerConfig, ids, jobs::Queue};

use crate::free_port;

/// How long a node may take to start.
const START: Duration = Duration::from_secs(90);

/// Runs rabbitmqctl at a node, or at the server of this machine; gives what it printed.
async fn ctl(node: Option<&str>, arguments: &[&str]) -> String {
    let mut command = tokio::process::Command::new("rabbitmqctl");
    command.arg("-q").args(node.map(|name| ["-n", name]).into_iter().flatten()).args(arguments).stdin(Stdio::null());
    let output = command.output().await.expect("rabbitmqctl");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "rabbitmqctl {arguments:?}: {said}");
    said
}

/// Deletes the queues and exchanges of an application. Every quorum queue reserves file descriptors at the broker; those of
/// some sixty applications would use up all that a server has by default, and it then answers nobody.
pub(crate) async fn delete_topology(config: &BrokerConfig) -> Result<(), lapin::Error> {
    let connection = Connection::connect(config.url.expose(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let prefix = &config.prefix;
    for queue in Queue::ALL.map(Queue::as_str).into_iter().chain(["dead"]) {
        let name = format!("{prefix}.{queue}");
        channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await?;
    }
    for exchange in ["jobs", "dead"] {
        let name = format!("{prefix}.{exchange}");
        channel.exchange_delete(name.as_str().into(), ExchangeDeleteOptions::default()).await?;
    }
    connection.close(200, "done".into()).await
}

/// A virtual host of one test.
pub struct Vhost {
    node: Option<String>,
    /// Its name.
    pub name: String,
    /// Its address, with user and password.
    pub url: String,
}

impl Vhost {
    /// On the server that the tests run with; `None` without one.
    pub async fn on_shared() -> Option<Self> {
        let server = std::env::var_os("TEST_AMQP_URL")?.to_string_lossy().trim_end_matches('/').to_owned();
        Some(Self::add(None, &server).await)
    }

    async fn add(node: Option<String>, server: &str) -> Self {
        let prefix = std::env::var_os("GATEPOST_TEST_VHOST_PREFIX").map(|prefix| prefix.to_string_lossy().into_owned());
        let name = format!("{}{}", prefix.unwrap_or_else(|| "test-".to_owned()), ids::next().simple());
        let user = server.split("://").nth(1).and_then(|rest| rest.split([':', '@']).next()).unwrap_or("guest");
        ctl(node.as_deref(), &["add_vhost", &name]).await;
        ctl(node.as_deref(), &["set_permissions", "-p", &name, user, ".*", ".*", ".*"]).await;
        Self { node, url: format!("{server}/{name}"), name }
    }

    /// Forgets all messages of a queue.
    pub async fn purge(&self, queue: &str) {
        ctl(self.node.as_deref(), &["purge_queue", "-p", &self.name, queue]).await;
    }

    /// Deletes a queue.
    pub async fn delete_queue(&self, queue: &str) {
        ctl(self.node.as_deref(), &["delete_queue", "-p", &self.name, queue]).await;
    }

    /// Whether there is a queue.
    pub async fn has_queue(&self, queue: &str) -> bool {
        let all = ctl(self.node.as_deref(), &["list_queues", "-p", &self.name, "--no-table-headers", "name"]).await;
        all.lines().any(|name| name.trim() == queue)
    }

    /// Closes all connections to it.
    pub async fn sever(&self) {
        ctl(self.node.as_deref(), &["close_all_connections", "--vhost", &self.name, "test"]).await;
    }
}

impl Vhost {
    /// Its address with a user of its own, as production has it. The user is deleted with the virtual host.
    pub async fn url_of_own_user(&self) -> String {
        let node = self.node.as_deref();
        let (user, password) = (&self.name, ids::next().simple().to_string());
        ctl(node, &["add_user", user, &password]).await;
        ctl(node, &["set_permissions", "-p", &self.name, user, ".*", ".*", ".*"]).await;
        let server = self.url.split('@').nth(1).unwrap_or_default();
        format!("amqp://{user}:{password}@{server}")
    }

    /// Deletes the virtual host with all that is in it, and adds an empty one of the same name.
    pub async fn recreate(&self) {
        ctl(self.node.as_deref(), &["delete_vhost", &self.name]).await;
        ctl(self.node.as_deref(), &["add_vhost", &self.name]).await;
        ctl(self.node.as_deref(), &["set_permissions", "-p", &self.name, "guest", ".*", ".*", ".*"]).await;
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        // Best effort: a node that is gone took it along.
        let mut command = Command::new("rabbitmqctl");
        command.arg("-q").args(self.node.iter().flat_map(|name| ["-n", name])).args(["delete_vhost", &self.name]);
        drop(command.stdin(Stdio::null()).output());
        let mut command = Command::new("rabbitmqctl");
        command.arg("-q").args(self.node.iter().flat_map(|name| ["-n", name])).args(["delete_user", &self.name]);
        drop(command.stdin(Stdio::null()).output());
    }
}

/// A RabbitMQ of one test.
pub struct Node {
    name: String,
    port: u16,
    distribution: u16,
    folder: PathBuf,
}

impl Node {
    /// Starts one; `None` unless `TEST_AMQP_NODE` says that tests may.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Option<Self> {
        std::env::var_os("TEST_AMQP_NODE")?;
        let (port, distribution) = (free_port(), free_port());
        let folder = std::env::temp_dir().join(format!("gatepost-rabbitmq-{port}"));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("rabbitmq.conf"), format!("listeners.tcp.local = 127.0.0.1:{port}\n")).expect("a file");
        let owned = Command::new("chown").arg("-R").arg("rabbitmq").arg(&folder).status().expect("chown");
        assert!(owned.success(), "the folder must be the user rabbitmq's");
        let node = Self { name: format!("gatepost-test-{port}@localhost"), port, distribution, folder };
        node.launch().await;
        Some(node)
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its files, among them all messages.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Its address without a virtual host.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.port)
    }

    /// A virtual host on it.
    pub async fn vhost(&self) -> Vhost {
        Vhost::add(Some(self.name.clone()), &self.url()).await
    }

    /// Runs rabbitmqctl at it; gives what it printed.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        ctl(Some(&self.name), arguments).await
    }

    /// Starts it with what is on its disk.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn launch(&self) {
        let folder = self.folder.display();
        let line = format!(
            "cd {folder} && HOME=/var/lib/rabbitmq RABBITMQ_NODENAME={} RABBITMQ_CONFIG_FILE={folder}/rabbitmq.conf \
             RABBITMQ_MNESIA_BASE={folder}/mnesia RABBITMQ_LOG_BASE={folder}/log \
             RABBITMQ_ENABLED_PLUGINS_FILE={folder}/plugins RABBITMQ_PID_FILE={folder}/pid \
             RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_DIST_PORT={} \
             ERL_FLAGS='-kernel inet_dist_use_interface {{127,0,0,1}}' /usr/lib/rabbitmq/bin/rabbitmq-server -detached",
            self.name, self.distribution,
        );
        let mut command = tokio::process::Command::new("su");
        command.args(["rabbitmq", "-s", "/bin/sh", "-c", &line]).stdin(Stdio::null());
        let started = command.stdout(Stdio::null()).stderr(Stdio::null()).status().await.expect("su");
        assert!(started.success(), "rabbitmq-server does not start");
        let begin = Instant::now();
        while !self.is_reachable() {
            assert!(begin.elapsed() < START, "{} does not start", self.name);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.ctl(&["await_startup"]).await;
    }

    /// SIGKILL; returns when nobody listens any more.
    ///
    /// # Panics
    /// When it does not die.
    pub async fn kill(&self) {
        self.signal("KILL");
        let begin = Instant::now();
        while self.is_reachable() {
            assert!(begin.elapsed() < START, "{} does not die", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal by name, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let Ok(pid) = fs::read_to_string(self.folder.join("pid")) else { return };
        let mut command = Command::new("kill");
        drop(command.arg(format!("-{name}")).arg(pid.trim()).stderr(Stdio::null()).status());
    }

    fn is_reachable(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.signal("KILL");
        drop(fs::remove_dir_all(&self.folder));
    }
}
