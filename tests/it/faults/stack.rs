//! An installation of separate processes over PostgreSQL, RabbitMQ and SMTP.
//!
//! ```text
//! gateway ─┬─ PostgreSQL (a database of its own) ─┬─ worker mail, notify, sweep, identify ── SMTP server
//!          └─ RabbitMQ (a vhost of its own) ──────┘
//! ```

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use harness::{
    Installation, PASSWORD, Process, code_in, free_port, http_client,
    rabbit::{Node, Vhost},
    smtp::SmtpServer,
    works::{PATIENCE, until},
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use serde_json::{Value, json};

/// The queues, each with a process of its own.
pub const QUEUES: [&str; 4] = ["mail", "notify", "sweep", "identify"];

/// A database of one test.
pub struct OwnDatabase {
    admin: DatabaseConnection,
    name: String,
    pub url: String,
}

impl OwnDatabase {
    pub async fn create() -> Self {
        let server = std::env::var_os("TEST_DATABASE_URL").unwrap_or_else(|| panic!("TEST_DATABASE_URL is not set"));
        let mut url: url::Url = server.to_string_lossy().parse().unwrap();
        let admin = Database::connect(url.as_str()).await.unwrap();
        let name = format!("gatepost_test_{}", shared::ids::next().simple());
        admin.execute_unprepared(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
        url.set_path(&name);
        Self { admin, name, url: url.to_string() }
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let dropping = self.admin.execute_unprepared(&sql);
        drop(tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(dropping)));
    }
}

/// The installation. Its parts go in this order: the processes before what they stand on.
pub struct Stack {
    processes: BTreeMap<&'static str, Process>,
    pub installation: Installation,
    pub base: String,
    pub client: reqwest::Client,
    pub server: SmtpServer,
    pub vhost: Vhost,
    pub node: Option<Node>,
    pub database: OwnDatabase,
    health: BTreeMap<&'static str, u16>,
}

impl Stack {
    /// On the shared RabbitMQ, which nobody stops.
    pub async fn on_shared(settings: &[(&str, &str)]) -> Self {
        let vhost = Vhost::on_shared().await.unwrap_or_else(|| panic!("TEST_AMQP_URL is not set"));
        Self::start(vhost, None, settings).await
    }

    /// On a RabbitMQ of its own; `None` where tests may start none.
    pub async fn on_own(settings: &[(&str, &str)]) -> Option<Self> {
        let node = Node::start().await?;
        let vhost = node.vhost().await;
        Some(Self::start(vhost, Some(node), settings).await)
    }

    async fn start(vhost: Vhost, node: Option<Node>, settings: &[(&str, &str)]) -> Self {
        let database = OwnDatabase::create().await;
        let server = SmtpServer::start().await.unwrap();
        let port = free_port();
        let base = format!("http://127.0.0.1:{port}");
        let installation = Installation::new()
            .set("HTTP__LISTEN", &format!("127.0.0.1:{port}"))
            .set("HTTP__PUBLIC_URL", &base)
            .set("HTTP__GRACE_SECONDS", "10")
            .set("DATABASE__URL", &database.url)
            .set("DATABASE__MAX_CONNECTIONS", "8")
            .set("BROKER__URL", &vhost.url)
            .set("BROKER__TIMEOUT_SECONDS", "2")
            .set("BROKER__HEARTBEAT_SECONDS", "2")
            .set("MAIL__URL", &format!("smtp+insecure://{}", server.addr()))
            .set("MAIL__TIMEOUT_SECONDS", "3")
            .set("JOBS__POLL_MILLISECONDS", "100")
            .set("JOBS__LEASE_SECONDS", "8")
            .set("JOBS__REDISPATCH_SECONDS", "3")
            .set("PASSWORD__THREADS", "1")
            .set("LOCKOUT__PER_CLIENT__COUNT", "0")
            .set("LOCKOUT__PER_ACCOUNT__COUNT", "0")
            .set("LOGIN__PER_NETWORK__COUNT", "0")
            .set("EMAIL_MFA__PER_USER__COUNT", "0")
            .set("EMAIL_VERIFICATION__SIGNUP_PER_NETWORK__COUNT", "0")
            .set("RECOVERY__PER_NETWORK__COUNT", "0");
        let installation = settings.iter().fold(installation, |stack, (key, value)| stack.set(key, value));
        let migrated = installation.command(&["migrate"]).output().await.unwrap();
        assert!(migrated.status.success(), "{migrated:?}");
        let health = QUEUES.into_iter().map(|queue| (queue, free_port())).collect();
        let (processes, client) = (BTreeMap::new(), http_client());
        let mut stack = Self { processes, installation, base, client, server, vhost, node, database, health };
        stack.launch("gateway");
        for queue in QUEUES {
            stack.launch(queue);
        }
        stack.is_ready().await;
        stack
    }

    /// Starts one of the processes: `gateway` or the worker of a queue.
    pub fn launch(&mut self, name: &'static str) {
        let process = match self.health.get(name) {
            None => self.installation.start(name, &["gateway"]),
            Some(port) => {
                let listen = format!("127.0.0.1:{port}");
                let arguments = ["worker", name];
                self.installation.start_with(name, &arguments, &[("TELEMETRY__METRICS_LISTEN", listen.as_str())])
            }
        };
        self.processes.insert(name, process);
    }

    /// One of the processes.
    pub fn process(&mut self, name: &str) -> &mut Process {
        self.processes.get_mut(name).unwrap_or_else(|| panic!("no process {name}"))
    }

    /// Waits until all processes are ready.
    pub async fn is_ready(&self) {
        for url in self.health_urls() {
            self.installation.wait_for(&url, Duration::from_secs(60)).await;
        }
    }

    fn health_urls(&self) -> Vec<String> {
        let workers = self.health.values().map(|port| format!("http://127.0.0.1:{port}/health/ready"));
        std::iter::once(format!("{}/health/ready", self.base)).chain(workers).collect()
    }

    /// What a worker's readiness answers.
    pub async fn worker_status(&self, queue: &str) -> Option<u16> {
        let url = format!("http://127.0.0.1:{}/health/ready", self.health.get(queue)?);
        self.client.get(url).send().await.ok().map(|answer| answer.status().as_u16())
    }

    /// The metrics of all workers.
    pub async fn metrics(&self) -> String {
        let mut text = String::new();
        for port in self.health.values() {
            if let Ok(answer) = self.client.get(format!("http://127.0.0.1:{port}/metrics")).send().await {
                text.push_str(&answer.text().await.unwrap_or_default());
            }
        }
        text
    }

    /// POST with JSON; the status and the body.
    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap_or_else(|err| panic!("{path}: {err}"));
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap_or_default()).unwrap_or_default())
    }

    pub async fn sign_up(&self, email: &str) {
        let (status, answer) = self.post("/api/signup", json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(status, 202, "{answer}");
    }

    /// A user who proved the address.
    pub async fn verified(&self, email: &str) {
        self.sign_up(email).await;
        let mails = self.server.wait_to(email, 1, PATIENCE).await;
        let mails = mails.unwrap_or_else(|err| panic!("{err}\n{}", self.installation.logs()));
        let code = code_in(&mails[0].text().unwrap());
        let (status, answer) =
            self.post("/api/email_verification/confirm", json!({ "email": email, "code": code })).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Proves the password; a code is mailed.
    pub async fn begin_login(&self, email: &str) {
        let body = json!({ "email": email, "password": PASSWORD, "session_transport": "token" });
        let (status, answer) = self.post("/api/login", body).await;
        assert_eq!((status, answer["status"].as_str()), (200, Some("email_mfa_required")), "{answer}");
    }

    /// Asks for a reset link.
    pub async fn reset(&self, email: &str) {
        assert_eq!(self.post("/api/reset", json!({ "email": email })).await.0, 204);
    }

    /// A number from the database.
    pub async fn number(&self, sql: &str) -> i64 {
        let db = Database::connect(&self.database.url).await.unwrap();
        let statement = Statement::from_string(db.get_database_backend(), sql);
        let row = db.query_one_raw(statement).await.unwrap().unwrap();
        db.close().await.unwrap();
        row.try_get("", "number").unwrap()
    }

    /// A connection to the database.
    pub async fn database(&self) -> DatabaseConnection {
        Database::connect(&self.database.url).await.unwrap()
    }

    /// Runs a statement of the test's own.
    pub async fn execute(&self, sql: &str) {
        let db = self.database().await;
        db.execute_unprepared(sql).await.unwrap_or_else(|err| panic!("{sql}: {err}"));
        db.close().await.unwrap();
    }

    /// Waits until this many mails came for an address.
    pub async fn expect_mails(&self, email: &str, count: usize) {
        let waited = self.server.wait_to(email, count, Duration::from_secs(60)).await;
        waited.unwrap_or_else(|err| panic!("{email}: {err}\n{}", self.installation.logs()));
    }

    /// Waits until no job of a mail is under way, and asserts what must hold then: every mail was sent, and those that came
    /// twice are the same.
    pub async fn assert_nothing_lost(&self) {
        let begin = Instant::now();
        let open = "SELECT COUNT(*) AS number FROM jobs WHERE queue IN ('mail', 'notify')
                    AND state IN ('queued', 'dispatched', 'running', 'retrying')";
        while self.number(open).await > 0 {
            assert!(begin.elapsed() < Duration::from_secs(60), "jobs do not end\n{}", self.installation.logs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let failed =
            "SELECT COUNT(*) AS number FROM jobs WHERE queue IN ('mail', 'notify') AND state IN ('dead', 'expired')";
        assert_eq!(self.number(failed).await, 0, "{}", self.installation.logs());
        let mut by_id: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for message in self.server.messages() {
            by_id.entry(message.header("Message-ID").unwrap_or_default()).or_default().push(message.raw);
        }
        for (id, copies) in &by_id {
            assert!(copies.iter().all(|copy| Some(copy) == copies.first()), "the copies of {id} differ");
        }
        let done = "SELECT COUNT(*) AS number FROM jobs WHERE queue IN ('mail', 'notify') AND state = 'done'";
        assert_eq!(usize::try_from(self.number(done).await).unwrap(), by_id.len(), "one message per finished job");
    }

    /// Stops all processes as an operator does; each must end with 0. One that was launched just now is waited for: it does
    /// not listen for signals yet.
    pub async fn stop(mut self) {
        for url in self.health_urls() {
            until("the process listens", async || self.client.get(&url).send().await.is_ok()).await;
        }
        for process in self.processes.values() {
            process.signal("TERM").await;
        }
        for (name, process) in &mut self.processes {
            let ended = process.wait(Duration::from_secs(20)).await;
            assert_eq!(ended, Some(true), "{name}\n{}", self.installation.logs());
        }
    }
}
